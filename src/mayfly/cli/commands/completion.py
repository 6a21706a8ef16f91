"""`mayfly completion`: the script that teaches a shell to complete commands and names."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from mayfly.cli.failure import Failed

_HOW = {
    "bash": '# In ~/.bashrc:  eval "$(mayfly completion bash)"',
    "zsh": '# In ~/.zshrc, after compinit:  eval "$(mayfly completion zsh)"',
    "fish": "# Once:  mayfly completion fish > ~/.config/fish/completions/mayfly.fish",
}


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the completion script of SHELL."""
    kind = get_completion_class(shell)
    if kind is None:
        raise Failed(f"this click knows no completion for {shell}; update click")
    script = kind(ctx.find_root().command, {}, "mayfly", "_MAYFLY_COMPLETE")
    print(_HOW[shell])
    print(script.source_template % script.source_vars())

"""`mayfly env`: the variables by which SDKs and tools find the platform."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import click

from mayfly.cli import running
from mayfly.cli.options import data_option, json_option
from mayfly.cli.signer import REGION


@click.command()
@data_option
@json_option
def command(data: Path, *, as_json: bool) -> None:
    """Print the AWS_* variables for a shell.

    Use it as: eval "$(mayfly env)"
    """
    platform = running.require(data)
    key = platform.key()
    variables = {
        "AWS_ENDPOINT_URL": platform.endpoint,
        "AWS_ACCESS_KEY_ID": key.access_key_id,
        "AWS_SECRET_ACCESS_KEY": key.secret_access_key,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
    }
    if platform.certificate is not None and platform.self_signed:
        variables["AWS_CA_BUNDLE"] = str(platform.certificate)
    if as_json:
        print(json.dumps(variables, indent=2))
        return
    for name, value in variables.items():
        print(f"export {name}={shlex.quote(value)}")

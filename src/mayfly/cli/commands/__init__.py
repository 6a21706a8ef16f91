"""One file per command, imported when it is called; `main.COMMANDS` names them all."""

"""The daemon: the one room that knows every other; read `process`, `serve`, `rooms`, `world`."""

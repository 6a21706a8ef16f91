"""Makes a function runnable out of a folder that a user uploads as a zip.

In reading order: `members` (which names an archive may hold; pure), `unpack` (the zip itself),
`bytecode` and `tree` (a folder of code made ready and durable), `positions` and `manifest`
(mayfly.toml with line numbers), `wanted`, `uv` and `requirements` (what is asked for, and its
installation), `entry` (is the handler's file there?), `build` (the whole way).

A user's code is never run here: not by an import, not by building a package from source.
"""

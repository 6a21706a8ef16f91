"""One SQLite file for what must not be lost: functions, URLs and accepted events.

In reading order: `schema` (the tables, and how an older file becomes a newer one), `store` (one
writer thread, group commit), `registry` and `backlog` (the ports), `failures` (what SQLite says,
as our errors, and the names of the I/O sites).
"""

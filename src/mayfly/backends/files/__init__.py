"""Plain files: code by digest, and what functions print.

In reading order: `code_store` (archives and trees that appear whole or not at all), `log_lines`
(a log file's format; pure), `log_files` (rotation, and reading from the end), `log_store` (the
writer thread in front of them). The I/O sites are in `sites`.
"""

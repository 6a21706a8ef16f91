"""Queues and table streams as sources: a mapping's records become a function's batches.

Reading order: `source` (who runs), `queue_worker`, `lane` and `stream_worker`; `steps`, `answers`,
`pace` and `documents` decide and write without I/O.
"""

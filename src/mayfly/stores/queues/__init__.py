"""Queues on the database: messages that are sent, received, hidden for a while, and deleted.

Read `queue.py` (the nouns), `schema.py` (the rows), then `store.py`.
"""

"""SQS's API on the queues: its two protocols, its words, its errors.

Read `endpoint.py` first: from a request to its operation and back.
"""

"""AWS's Security Token Service: who is calling.

It speaks the query protocol, by the same wire as everything else.
"""

"""AWS's Security Token Service: who is calling. The query protocol, by the same wire."""

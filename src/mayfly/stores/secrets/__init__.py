"""Secrets: named values, encrypted on disk, opened by a key that lies elsewhere."""

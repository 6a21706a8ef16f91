"""api/control."""

"""What a function needs, found by letting it run: `recording`, `folding`, `proposal`."""

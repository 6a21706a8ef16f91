"""Event source mappings on disk, and how far each has read."""

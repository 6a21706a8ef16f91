"""Schedules: when something is to happen, kept on disk and handed over exactly once."""

"""Mayfly: functions that are born when an event arrives, answer, and die."""

__version__ = "0.1.0"

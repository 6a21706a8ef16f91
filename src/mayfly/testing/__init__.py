"""Doubles that ship with the platform: they pass the contract suites of what they stand for.

`memory` has the ports without a disk, `faults` makes a named I/O site fail. Nothing in the
platform imports them.
"""

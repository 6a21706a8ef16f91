"""The nouns of the platform: frozen values without I/O, understood by every room above.

Nothing here reads a clock, a file or the network. A value is parsed at the border and trusted
inside.
"""

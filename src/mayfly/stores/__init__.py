"""Resources whose changes are events, each on the one database, with no format of AWS in it."""

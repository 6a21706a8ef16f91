"""Tables: items by key, indexes, streams; each change with its stream record in one transaction."""

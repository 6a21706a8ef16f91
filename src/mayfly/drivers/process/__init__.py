"""The driver `process`: isolates are sealed processes that share the node's kernel."""

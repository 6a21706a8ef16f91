"""What runs inside an isolate: standard library only, imports nothing of ours."""

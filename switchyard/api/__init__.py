"""The HTTP API of callers: their own cases, as they go on and as they ended."""

"""The API process: callers ask, follow their cases and read the answers."""

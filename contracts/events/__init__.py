"""The payloads, one file per producer."""

"""The system's own events, one file per producer: every application has them."""

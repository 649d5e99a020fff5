"""Memory: what was said before, kept under the user's key, until it expires."""

"""The console: where people look at cases, decide, and stop what must stop."""

"""The specialists: one folder per agent. Each is its own process with its own queue and role, and imports no other."""

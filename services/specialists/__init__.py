"""The specialists: one folder an agent, each its own process, queue and role; none knows another."""

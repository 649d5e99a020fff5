"""Model clients, token and time budgets, latency snapshots."""

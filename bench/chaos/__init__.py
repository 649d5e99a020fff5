"""Faults of every kind on the local stack while it works, from a seed, and an independent check of what it promised."""

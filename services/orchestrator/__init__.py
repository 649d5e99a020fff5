"""The orchestrator: the pure router, and the case manager that keeps whatever waits or counts."""

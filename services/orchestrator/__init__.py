"""The orchestrator: the pure router, and the desk that keeps whatever waits or counts."""

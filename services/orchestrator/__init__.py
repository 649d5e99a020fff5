"""The orchestrator: the pure router, and the case manager that keeps pending commands, timers and endings."""

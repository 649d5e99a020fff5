"""The engine's own processes: router, case manager and audit, composed from an application's parts."""

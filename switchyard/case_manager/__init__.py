"""The case manager: whatever waits or counts. Intake, close, timers and the control table, one module each."""

"""Case lifecycle: intake, closing, timers, approvals, suppression and retries, one module each."""

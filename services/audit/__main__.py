"""`python -m services.audit`."""

from __future__ import annotations

from services.audit.main import run_audit
from switchyard.runtime.core.loop import run_event_loop

if __name__ == "__main__":
    run_event_loop(run_audit)

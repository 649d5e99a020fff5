"""`python -m switchyard.audit`."""

from __future__ import annotations

from services.audit.main import run_audit
from switchyard.runtime.core.loop import run

if __name__ == "__main__":
    run(run_audit)

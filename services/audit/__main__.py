"""`python -m services.audit`."""

from __future__ import annotations

from runtime.loop import run
from services.audit.main import run_audit

if __name__ == "__main__":
    run(run_audit)

"""`python -m services.orchestrator router|case manager`."""

from __future__ import annotations

import sys

from services.orchestrator.main import run_case_manager, run_router
from switchyard.runtime.core.loop import run_event_loop

PROCESSES = {"router": run_router, "case_manager": run_case_manager}

if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in PROCESSES:
        sys.exit(f"usage: python -m services.orchestrator {'|'.join(PROCESSES)}")
    run_event_loop(PROCESSES[sys.argv[1]])

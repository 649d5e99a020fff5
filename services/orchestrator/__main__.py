"""`python -m services.orchestrator router|desk`."""

from __future__ import annotations

import sys

from services.orchestrator.main import run_desk, run_router
from switchyard.runtime.core.loop import run

PROCESSES = {"router": run_router, "desk": run_desk}

if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in PROCESSES:
        sys.exit(f"usage: python -m services.orchestrator {'|'.join(PROCESSES)}")
    run(PROCESSES[sys.argv[1]])

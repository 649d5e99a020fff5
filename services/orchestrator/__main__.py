"""`python -m services.orchestrator router|case_manager`."""

from __future__ import annotations

import sys
from functools import partial

from contracts.catalogue import CATALOGUE
from contracts.events.upstream import EMAIL_FEEDBACK_SOURCE
from contracts.submissions import SUBMISSIONS
from services.orchestrator.graph import CURRENT, PLAYBOOKS, ROUTING_TABLE
from switchyard.processes.orchestrator import run_case_manager, run_router
from switchyard.router.playbook import turn_policies
from switchyard.runtime.core.loop import run_event_loop

PROCESSES = {
    "router": partial(run_router, ROUTING_TABLE),
    "case_manager": partial(
        run_case_manager,
        CATALOGUE,
        SUBMISSIONS,
        CURRENT,
        turn_policies(PLAYBOOKS, CURRENT),
        frozenset({EMAIL_FEEDBACK_SOURCE}),
    ),
}

if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in PROCESSES:
        sys.exit(f"usage: python -m services.orchestrator {'|'.join(PROCESSES)}")
    run_event_loop(PROCESSES[sys.argv[1]])

"""`python -m services.orchestrator router|case_manager`."""

from __future__ import annotations

import sys

from switchyard.runtime.core.loop import run_event_loop


async def run_router() -> None:
    """Serve the router."""
    from services.orchestrator.graph import ROUTING_TABLE
    from switchyard.processes import router

    await router.run_router(ROUTING_TABLE)


async def run_case_manager() -> None:
    """Serve the case manager."""
    from contracts.catalogue import CATALOGUE
    from contracts.events.upstream import EMAIL_FEEDBACK_SOURCE
    from contracts.submissions import SUBMISSIONS
    from services.orchestrator.graph import CURRENT, PLAYBOOKS
    from switchyard.processes import case_manager
    from switchyard.router.playbook import turn_policies

    sources = frozenset({EMAIL_FEEDBACK_SOURCE})
    turns = turn_policies(PLAYBOOKS, CURRENT)
    await case_manager.run_case_manager(CATALOGUE, SUBMISSIONS, CURRENT, turns, sources)


PROCESSES = {"router": run_router, "case_manager": run_case_manager}

if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in PROCESSES:
        sys.exit(f"usage: python -m services.orchestrator {'|'.join(PROCESSES)}")
    run_event_loop(PROCESSES[sys.argv[1]])

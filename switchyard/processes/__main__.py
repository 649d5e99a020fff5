"""`python -m switchyard.processes router|case_manager|audit|MODULE:FUNCTION`: one process of the application.
SWITCHYARD_APP names the application; `MODULE:FUNCTION` is the `run` of one of its process descriptors."""

from __future__ import annotations

import sys
from functools import partial

from switchyard.app.application import load_app, load_reference
from switchyard.protocol.catalogue import AUDIT, CASE_MANAGER, ROUTER
from switchyard.runtime.core.loop import run_event_loop


async def run_engine_process(node: str) -> None:
    """Serve the router, the case manager or audit; each image holds the packages of its own process only."""
    app = load_app()
    if node == AUDIT:
        from switchyard.processes.audit import run_audit

        await run_audit(app.catalogue)
        return
    from switchyard.processes.orchestrator import run_case_manager, run_router

    if node == ROUTER:
        await run_router(app.routing_table)
    else:
        await run_case_manager(app.catalogue, app.submissions, app.current, app.turns, app.suppression_sources)


ENGINE_PROCESSES = (ROUTER, CASE_MANAGER, AUDIT)

if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: python -m switchyard.processes {'|'.join(ENGINE_PROCESSES)}|MODULE:FUNCTION")
    name = sys.argv[1]
    run_event_loop(partial(run_engine_process, name) if name in ENGINE_PROCESSES else load_reference(name))

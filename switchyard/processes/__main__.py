"""`python -m switchyard.processes router|case_manager|audit|MODULE:FUNCTION`: one process of the application.
SWITCHYARD_APP names the application; `MODULE:FUNCTION` is the `run` of one of its process descriptors."""

from __future__ import annotations

import sys
from functools import partial

from switchyard.runtime.core.loop import run_event_loop

ENGINE_PROCESSES = ("router", "case_manager", "audit")


async def run_process(name: str) -> None:
    """Serve it; each image holds the packages of its own process only, and each process imports its own."""
    from switchyard.app.application import load_app, load_reference

    if name not in ENGINE_PROCESSES:
        await load_reference(name)()
        return
    app = load_app()
    if name == "audit":
        from switchyard.processes.audit import run_audit

        await run_audit(app.catalogue)
    elif name == "router":
        from switchyard.processes.router import run_router

        await run_router(app.routing_table)
    else:
        from switchyard.processes.case_manager import run_case_manager

        await run_case_manager(app.catalogue, app.submissions, app.current, app.turns, app.suppression_sources)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: python -m switchyard.processes {'|'.join(ENGINE_PROCESSES)}|MODULE:FUNCTION")
    run_event_loop(partial(run_process, sys.argv[1]))

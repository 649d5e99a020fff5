"""`python -m switchyard.processes router|case_manager|audit|MODULE:FUNCTION`: one process of the application.
SWITCHYARD_APP names the application; `MODULE:FUNCTION` is the `run` of one of its process descriptors."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable

from switchyard.app.application import load_app, load_reference
from switchyard.protocol.catalogue import AUDIT, CASE_MANAGER, ROUTER
from switchyard.runtime.core.loop import run_event_loop


async def run_engine_router() -> None:
    """Serve the router."""
    from switchyard.processes.orchestrator import run_router

    await run_router(load_app().routing_table)


async def run_engine_case_manager() -> None:
    """Serve the case manager."""
    from switchyard.processes.orchestrator import run_case_manager

    app = load_app()
    await run_case_manager(app.catalogue, app.submissions, app.current)


async def run_engine_audit() -> None:
    """Serve audit."""
    from switchyard.processes.audit import run_audit

    await run_audit(load_app().catalogue)


ENGINE_PROCESSES: dict[str, Callable[[], Awaitable[None]]] = {
    ROUTER: run_engine_router,
    CASE_MANAGER: run_engine_case_manager,
    AUDIT: run_engine_audit,
}


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: python -m switchyard.processes {'|'.join(ENGINE_PROCESSES)}|MODULE:FUNCTION")
    run_event_loop(ENGINE_PROCESSES.get(sys.argv[1]) or load_reference(sys.argv[1]))

"""`python -m services.audit`."""

from __future__ import annotations

from switchyard.runtime.core.loop import run_event_loop


async def run() -> None:
    """Serve audit."""
    from contracts.catalogue import CATALOGUE
    from switchyard.processes.audit import run_audit

    await run_audit(CATALOGUE)


if __name__ == "__main__":
    run_event_loop(run)

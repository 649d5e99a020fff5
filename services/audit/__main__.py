"""`python -m services.audit`."""

from __future__ import annotations

from functools import partial

from contracts.catalogue import CATALOGUE
from switchyard.processes.audit import run_audit
from switchyard.runtime.core.loop import run_event_loop

if __name__ == "__main__":
    run_event_loop(partial(run_audit, CATALOGUE))

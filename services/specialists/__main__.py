"""`python -m services.specialists NAME`: starts one agent as a process."""

from __future__ import annotations

import sys
from importlib import import_module

from switchyard.runtime.core.loop import run_event_loop

# Imported by name at start, because an agent's image holds only its own dependencies.
AGENTS = {
    "compliance": "services.specialists.compliance.main",
    "email_sender": "services.specialists.email_sender.main",
    "email_feedback": "services.specialists.email_feedback.main",
    "text_to_sql": "services.specialists.text_to_sql.main",
    "triage": "services.specialists.triage.main",
}

if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in AGENTS:
        sys.exit(f"usage: python -m services.specialists {'|'.join(AGENTS)}")
    run_event_loop(import_module(AGENTS[sys.argv[1]]).run)

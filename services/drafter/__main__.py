"""`python -m services.drafter`."""

from services.drafter.main import run_drafter
from switchyard.runtime.core.loop import run_event_loop

if __name__ == "__main__":
    run_event_loop(run_drafter)

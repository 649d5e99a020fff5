"""`python -m services.drafter`."""

from services.drafter.main import run_drafter
from switchyard.runtime.core.loop import run

if __name__ == "__main__":
    run(run_drafter)

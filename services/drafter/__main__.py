"""`python -m services.drafter`."""

from runtime.loop import run
from services.drafter.main import run_drafter

if __name__ == "__main__":
    run(run_drafter)

"""`python -m evals SUITE … | all [--model simulator|MODEL] [--vendor openai|bedrock] [--gate]`: see README.md."""

from __future__ import annotations

import sys

from evals.suites import SUITES
from switchyard.evals.runner import run_evals

if __name__ == "__main__":
    sys.exit(run_evals(SUITES))

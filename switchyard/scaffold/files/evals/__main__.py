"""`python -m evals [SUITE … | all --model simulator|MODEL]`: a file in datasets is a suite."""

from __future__ import annotations

import sys
from pathlib import Path

from services.app import APP
from switchyard.app.application import resource_path
from switchyard.evals.runner import run_folder

if __name__ == "__main__":
    sys.exit(run_folder(Path(__file__).parent, [resource_path(script) for script in APP.model_scripts]))

"""What the simulated model answers to the suites."""

from __future__ import annotations

from pathlib import Path

SCRIPT_FOLDER = Path(__file__).parents[1] / "demo" / "data" / "simulator"
SUITE_SCRIPTS = tuple(
    SCRIPT_FOLDER / name for name in ("compliance.yaml", "text_to_sql.yaml", "triage.yaml", "well_data.yaml")
)

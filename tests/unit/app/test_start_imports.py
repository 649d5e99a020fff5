"""The lint that keeps costly libraries out of a process's start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.lint.start_imports import NEEDED, roots


def test_processes_are_imported_in_an_order_in_which_what_they_may_load_only_grows() -> None:
    order = list(roots())
    assert {"router", "case_manager", "audit"} <= set(order[: -len(NEEDED)])
    assert order[-len(NEEDED) :] == list(NEEDED)


def test_costly_library_in_a_process_that_does_not_need_it_is_named(tmp_path: Path) -> None:
    # Loaded before anything else, as an import at the top of a shared module would be.
    (tmp_path / "sitecustomize.py").write_text("import tinycss2\n")
    ran = subprocess.run(
        [sys.executable, "-m", "tests.lint.start_imports"],
        env={"PYTHONPATH": ":".join([str(tmp_path), *filter(None, sys.path)])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    assert "switchyard --help imports tinycss2: " in ran.stdout
    assert "router: switchyard.processes.router imports tinycss2: " in ran.stdout

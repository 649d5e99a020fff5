"""What the processes import: PyVRP only where it searches, and matplotlib nowhere."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("matplotlib", "numpy", "pyvrp", "scipy")


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("services.specialists.field_routing.main", set[str]()),
        ("services.specialists.field_routing.solver", {"numpy", "pyvrp", "scipy"}),
    ],
)
def test_process_imports_no_more_than_it_uses(module: str, imported: set[str]) -> None:
    code = f"import sys, {module}; print(*(set({HEAVY!r}) & sys.modules.keys()))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(ran.stdout.split()) == imported

"""A run of `make chaos` that broke a promise, or broke itself, prints its seed and keeps its state."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bench.chaos import __main__ as chaos
from bench.chaos.run import Size

FOUND: dict[str, Any] = {"seed": 42, "violations": [], "proof": [], "ended_after_s": [1.0, 2.0]}
VIOLATION = {"check": "work/email_once", "promise": "No case has two emails.", "case_id": "c", "found": "2 emails"}


def _run(monkeypatch: pytest.MonkeyPatch, home: Path, outcome: dict[str, Any] | Exception) -> dict[str, Any]:
    async def run_chaos(folder: Path, **_: Any) -> dict[str, Any]:
        await asyncio.to_thread(folder.mkdir, parents=True)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setenv("SWITCHYARD_HOME", str(home))
    monkeypatch.setattr(chaos, "run_chaos", run_chaos)
    return chaos.run_and_report(seed=42, size=Size(1, 1.0, 1.0), kinds=["kill"])


def test_report_violation_prints_the_seed_and_keeps_the_state(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = _run(monkeypatch, tmp_path, FOUND | {"violations": [VIOLATION]})
    text = capsys.readouterr().out
    assert not chaos.holds(found)
    assert f"FAILED: seed 42; its state is kept in {tmp_path / 'chaos' / '42'}" in text
    assert "work/email_once: case c: 2 emails (expected: No case has two emails.)" in text
    assert (tmp_path / "chaos" / "42").is_dir()


def test_report_broken_run_prints_the_seed_and_keeps_the_state(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(OSError, match="away"):
        _run(monkeypatch, tmp_path, OSError("away"))
    assert "FAILED: seed 42" in capsys.readouterr().out
    assert (tmp_path / "chaos" / "42").is_dir()


def test_report_run_in_which_all_holds_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = _run(monkeypatch, tmp_path, FOUND)
    assert chaos.holds(found)
    assert "FAILED" not in capsys.readouterr().out
    assert not (tmp_path / "chaos" / "42").exists()

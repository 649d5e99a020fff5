"""`switchyard demo`, as a person runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from switchyard.devstack.stack.home import temporary_home

pytestmark = pytest.mark.e2e
SWITCHYARD = Path(sys.executable).with_name("switchyard")


def _run(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "SWITCHYARD_HOME": str(home)}
    return subprocess.run(
        [SWITCHYARD, *arguments], env=environment, capture_output=True, text=True, timeout=180, check=False
    )


def _left_behind(home: Path) -> list[str]:
    """Processes whose command line or environment names the home."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal() or folder.name == str(os.getpid()):
            continue
        try:
            text = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
        except OSError:
            continue  # it ended meanwhile, or is not ours
        if str(home).encode() in text:
            found.append((folder / "cmdline").read_text().replace("\0", " "))
    return found


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks for leftovers in /proc")
def test_demo_run_twice_agrees_with_its_log_and_leaves_no_process() -> None:
    with temporary_home() as home:
        figures = home / "figures.json"
        for _ in range(2):
            ran = _run(home, "demo", "--figures", str(figures))
            assert ran.returncode == 0, ran.stdout + ran.stderr
            assert _left_behind(home) == []
        found = json.loads(figures.read_text())
        assert set(found) == {
            "cases", "closed", "transitions", "audit_rows", "distinct_events", "chain", "failovers", "latency_ms",
            "hop_ms", "wall_s", "email", "users", "several", "memory",
        }  # fmt: skip
        assert found["cases"] == sum(found["closed"].values()) >= 24
        assert found["audit_rows"] == found["distinct_events"] == found["transitions"]
        assert found["chain"] == "ok"
        assert found["failovers"] >= 3
        assert found["closed"]["failed"] >= 2
        assert "open" not in found["closed"]
        assert "injected" in ran.stdout
        parts = {key: [end for _, end in each["parts"]] for key, each in found["several"].items()}
        assert parts == {
            "demo-035": ["found it"] * 3,
            "demo-036": ["found it"] * 2,
            "demo-037": ["found it", "failed: query_refused"],
        }
        charts = [file for each in found["several"].values() for file in each["files"] if file.endswith(".svg")]
        assert len(charts) == 3
        email = found["email"]
        assert email["emails"] >= 30
        assert email["once_and_identical"]
        assert email["outbox"] == email["closed"]["sent"]
        assert email["unexpected"] == []
        # Every rule decides a case but R06: the composer leaves no opt-out out.
        assert set(email["rules"]) == {f"R{number:02}" for number in range(1, 21)} - {"R06"}

        listed = _run(home, "case", "list", "--outcome", "failed")
        assert "query_refused" in listed.stdout, "the last run is not readable"
        failed = json.loads(_run(home, "case", "list", "--outcome", "failed", "--json").stdout)
        case = str(failed[0]["case_id"])
        shown = _run(home, "case", "show", case, "--open")
        assert "chain: ok" in shown.stdout
        proved = _run(home, "audit", "verify", "--checkpoints")
        assert (proved.returncode, "checkpoints: ok" in proved.stdout) == (0, True), proved.stdout
        assert "not yet covered by a checkpoint" not in proved.stdout, "a clean stop checkpoints what is left"
        exported = _run(home, "audit", "export", case, "--out", str(home / "case.json"))
        assert exported.returncode == 0, exported.stdout + exported.stderr
        command = next(line for line in exported.stdout.splitlines() if line.startswith("verify it with: python3"))
        verified = subprocess.run(
            [sys.executable, *command.split()[4:]], capture_output=True, text=True, timeout=60, check=False
        )
        assert (verified.returncode, "PROVEN" in verified.stdout) == (0, True), verified.stdout + verified.stderr
        assert _left_behind(home) == []

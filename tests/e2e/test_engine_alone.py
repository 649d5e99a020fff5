"""The engine is a distribution of its own: installed without this repository, it runs another application."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.echo_app import echo

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[2]
PROJECTS = (ROOT, ROOT / "packages" / "faststream-sqs", ROOT / "packages" / "latency-failover")
UV = Path(sys.executable).with_name("uv")
LINE = {"tenant": "acme", "idempotency_key": "one", "session_id": "s", "user_id": "ada", "text": "Hello."}


def call(*command: str | Path, cwd: Path, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the programs of an environment with the engine's wheel and those of its two libraries."""
    place = tmp_path_factory.mktemp("engine")
    for project in PROJECTS:
        call(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", place / "wheels", cwd=project)
    locked = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pins = re.findall(r"^([\w.-]+==[^\s;]+(?: ; .*?)?) \\$", locked, re.MULTILINE)
    (place / "constraints.txt").write_text("\n".join(pins), encoding="utf-8")
    call(UV, "venv", "--python", sys.executable, place / "venv", cwd=place)
    wheels = [f"{wheel}[devstack]" if "engine" in wheel.name else wheel for wheel in (place / "wheels").iterdir()]
    python = place / "venv" / "bin" / "python"
    call(UV, "pip", "install", "--python", python, "-c", place / "constraints.txt", *wheels, cwd=place)
    return python.parent


@pytest.fixture
def environment(installed: Path, tmp_path: Path) -> Iterator[dict[str, str]]:
    """A folder with the application and nothing else of ours, and the variables that name it; its stack is stopped."""
    shutil.copy(Path(echo.__file__), tmp_path / "echo.py")
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "SWITCHYARD", "VIRTUAL"))
    }
    environment = kept | {"SWITCHYARD_APP": "echo:APP", "PYTHONPATH": str(tmp_path)}
    yield environment
    subprocess.run([installed / "switchyard", "stack", "down"], cwd=tmp_path, env=environment, check=False)


def test_engine_runs_an_application_of_one_agent(installed: Path, environment: dict[str, str], tmp_path: Path) -> None:
    def switchyard(*arguments: str) -> str:
        return call(installed / "switchyard", *arguments, cwd=tmp_path, env=environment)

    absent = "import importlib.util as u; print([n for n in ('contracts', 'services', 'demo') if u.find_spec(n)])"
    assert call(installed / "python", "-c", absent, cwd=tmp_path, env=environment) == "[]\n"

    switchyard("stack", "up", "--detach")
    assert {row["process"] for row in json.loads(switchyard("stack", "status", "--json"))} >= {
        "router",
        "case_manager",
        "echo",
        "audit",
    }
    (tmp_path / "texts.jsonl").write_text(json.dumps(LINE) + "\n", encoding="utf-8")
    published = switchyard("publish", "texts.jsonl")
    [case_id] = re.findall(r"^line 1: case (\S+)$", published, re.MULTILINE)
    for _ in range(60):
        listed = [row for row in json.loads(switchyard("case", "list", "--json")) if row["case_id"] == case_id]
        if listed and listed[0]["outcome"] == "answered":
            break
    else:
        pytest.fail(f"the case did not end: {listed}")
    shown = switchyard("case", "show", case_id)
    assert [name for name in ("TextOpened", "Echo", "Echoed", "CloseCase", "CaseClosed") if name not in shown] == []
    assert "1 case" in switchyard("audit", "verify")

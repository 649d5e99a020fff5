"""The folder for an auditor: its page's own commands, typed one by one, prove the case and find a change in it."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from switchyard.audit.export.bundle import Exporter
from switchyard.audit.export.kit import write_kit
from switchyard.audit.records.store import AuditStore
from switchyard.protocol.fields import Json
from tests.integration.audit.proof import Proof
from tests.integration.audit.test_bundle import KEY, bundle, exporter
from tests.unit.audit import cases
from tests.unit.audit.test_signed_events import PUBLIC, decided

pytestmark = pytest.mark.integration
__all__ = ["bundle", "exporter"]
PEOPLE = {"approvers": {name: bytes.fromhex(key) for name, key in PUBLIC.items()}, "operators": {}}


def commands(kit: Path, key: str = KEY) -> list[str]:
    """What the page has an auditor type, with the key put in."""
    (block,) = re.findall(r"```\n(.*?)```", (kit / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    return [line.replace("PUBLIC_KEY", key) for line in block.splitlines()]


def check(kit: Path, python: str, *, key: str = KEY) -> subprocess.CompletedProcess[str]:
    """The last of the commands, with another Python in place of the environment's."""
    *_, verify = commands(kit, key)
    arguments = shlex.split(verify)
    assert arguments[0] == "check/bin/python"
    return subprocess.run([python, *arguments[1:]], capture_output=True, text=True, check=False, cwd=kit, timeout=60)


def test_kit_is_complete_and_its_page_names_every_file(bundle: Json, tmp_path: Path) -> None:
    written = write_kit(tmp_path / "kit", bundle, PEOPLE)
    page = written[0].read_text(encoding="utf-8")
    assert {path.name for path in (tmp_path / "kit").iterdir()} == {path.name for path in written}
    assert all(path.name in page for path in written[1:])
    assert not re.findall(r"\{[A-Z_]+\}", page)
    assert len(page.split()) < 500
    assert check(tmp_path / "kit", sys.executable).returncode == 0


async def test_kit_with_an_approval_is_proven_with_the_keys_in_it(
    store: AuditStore, proof: Proof, exporter: Exporter, tmp_path: Path
) -> None:
    from tests.integration.audit.test_bundle import _closed

    events = _closed(decided("denied", key=b"\1" * 32))
    await store.record(cases.bodies(events))
    await proof.checkpoint()
    made, _ = await exporter.export(events[0]["case_id"])
    write_kit(tmp_path, made, PEOPLE)
    assert "PROVEN  nothing altered" in check(tmp_path, sys.executable).stdout
    write_kit(tmp_path, made, {"approvers": {}, "operators": {}})
    assert check(tmp_path, sys.executable).returncode == 1


def test_kit_with_a_changed_case_is_broken(bundle: Json, tmp_path: Path) -> None:
    write_kit(tmp_path, bundle, PEOPLE)
    (case,) = tmp_path.glob("case-*.json")
    changed = json.loads(case.read_text(encoding="utf-8"))
    changed["events"][2]["body"] = (
        changed["events"][2]["body"].replace("northfork", "southfork").replace("tenant", "tenants")
    )
    case.write_text(json.dumps(changed), encoding="utf-8")
    found = check(tmp_path, sys.executable)
    assert (found.returncode, "BROKEN" in found.stdout) == (1, True)


@pytest.mark.slow
@pytest.mark.parametrize("version", ["3.9", "3.10", "3.12", "3.13"])
def test_kits_own_commands_in_a_fresh_environment_prove_the_case(bundle: Json, tmp_path: Path, version: str) -> None:
    """With the oldest Python that the page promises, where this machine has it. Needs the package index."""
    python = find_python(version)
    if python is None:
        # The Python of this project is a version that the page promises, too.
        python = sys.executable
    write_kit(tmp_path, bundle, PEOPLE)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3").symlink_to(python)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["PATH"] = f"{tmp_path / 'bin'}:{environment['PATH']}"
    for command in commands(tmp_path):
        shell = ["sh", "-c", command]
        ran = subprocess.run(
            shell, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment, timeout=300
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "PROVEN  nothing altered" in ran.stdout


def find_python(version: str) -> str | None:
    """A Python of this version, if there is one that runs."""
    candidates = [
        shutil.which(f"python{version}"),
        *map(str, Path.home().glob(f".pyenv/versions/{version}.*/bin/python")),
    ]
    for candidate in filter(None, candidates):
        ran = subprocess.run([candidate, "--version"], capture_output=True, text=True, check=False, timeout=30)
        if ran.returncode == 0 and ran.stdout.startswith(f"Python {version}."):
            return candidate
    return None

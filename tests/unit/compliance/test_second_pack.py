"""A second pack, released by its README in a copy of the repository: every test of the rules stays green."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.samples import sample_email
from services.specialists.compliance.pack import PACKS_FOLDER, RulePack, released_packs
from switchyard.runtime.core.clock import timestamp
from tests.unit.compliance.emails import NOW, Email, facts

pytestmark = pytest.mark.slow  # the tests of the rules once more for each day

ROOT = Path(__file__).resolve().parents[3]
TESTED = ("tests/unit/compliance", "tests/unit/evals/test_datasets.py", "tests/unit/cli/test_rules.py")
DAYS = {
    "in force before the day of the tests": NOW.date() - timedelta(days=60),
    "not in force yet": datetime.now(UTC).date() + timedelta(days=90),
}


def steps() -> list[str]:
    """The README's commands."""
    (block,) = re.findall(r"^```bash\n(.*?)^```$", (PACKS_FOLDER / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    return str(block).splitlines()


def latest() -> RulePack:
    return [pack for pack in released_packs() if not pack.tenants][-1]


def copy_repository(folder: Path) -> Path:
    """What git knows of, without what it ignores."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.mark.timeout(900)
@pytest.mark.parametrize("when", DAYS)
def test_second_pack_released_by_its_readme_leaves_every_test_green(tmp_path: Path, when: str) -> None:
    now, copy = datetime.now(UTC), copy_repository(tmp_path / "copy")
    day = max(DAYS[when], latest().effective_from + timedelta(days=1)).isoformat()
    packs, old, new = copy / PACKS_FOLDER.relative_to(ROOT), f"{latest().version}.toml", f"{day}.toml"
    account = facts(as_of=timestamp(now))
    submission = sample_email(now) | {"facts": json.loads(account.model_dump_json(exclude_none=True))}
    (tmp_path / "submission.json").write_text(json.dumps(submission))
    (tmp_path / "draft.eml").write_bytes(Email(account).build())
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(
            map(str, (copy, copy / "packages/faststream-sqs", copy / "packages/latency-failover"))
        ),
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
        "HYPOTHESIS_PROFILE": "fast",
        "LATEST": old,
        "NEW": new,
        "FACTS": str(tmp_path / "submission.json"),
        "DRAFT": str(tmp_path / "draft.eml"),
    }

    def run(command: list[str], folder: Path) -> str:
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    shown = ""
    for step in steps():
        shown += run(["bash", "-c", step], packs)
        if step.startswith("cp "):
            text = (packs / new).read_text()
            for name, value in (("version", f'"{day}"'), ("effective_from", day)):
                text, found = re.subn(rf"^{name} = .*$", f"{name} = {value}", text, count=1, flags=re.MULTILINE)
                assert found == 1, name
            (packs / new).write_text(text)
    assert f"pack {day}, stage email" in shown
    run([sys.executable, "-m", "pytest", *TESTED, "-q", "-m", "not slow", "-p", "no:cacheprovider"], copy)

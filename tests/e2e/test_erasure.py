"""A person is erased on the running stack, by the command that an operator types."""

from __future__ import annotations

import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from tests.e2e.conftest import Deployment

pytestmark = pytest.mark.e2e
SWITCHYARD = Path(sys.executable).with_name("switchyard")
WHO = ("--operator", "ada", "--reason", "request 4711")


def _run(deployment: Deployment, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **deployment.target.environment,
        "SWITCHYARD_HOME": str(deployment.stack.home.folder),
        "COLUMNS": "200",
    }
    return subprocess.run(
        [SWITCHYARD, *arguments], env=environment, capture_output=True, text=True, timeout=90, check=False
    )


async def test_a_person_is_erased_although_the_log_keeps_every_row(deployment: Deployment) -> None:
    name = f"{uuid.uuid4().hex}@example.com"
    cases = await deployment.submit(
        [deployment.question("e2e wells by basin", user_id=user) for user in (name, "bystander@example.com")]
    )
    await deployment.closed(cases)
    await deployment.settled(cases)
    mine, theirs = cases
    subject = (await deployment.events(mine))[0]["principal"]["subject"]
    before = len(await deployment.events(mine))
    assert "question: e2e wells by basin" in _run(deployment, "case", "show", mine, "--open").stdout

    held = _run(deployment, "audit", "retention", "hold", mine, *WHO)
    assert held.returncode == 0, held.stderr
    refused = _run(deployment, "audit", "erase", subject, *WHO)
    assert refused.returncode == 1
    assert "legal hold" in refused.stderr
    assert _run(deployment, "audit", "retention", "release", mine, *WHO).returncode == 0

    erased = _run(deployment, "audit", "erase", subject, *WHO)
    assert erased.returncode == 0, erased.stderr
    assert "is erased" in erased.stdout
    assert "by ada: request 4711" in erased.stdout
    assert "switchyard-desk-dlq" in erased.stdout
    assert "signature ok" in erased.stdout

    shown = _run(deployment, "case", "show", mine, "--open")
    assert shown.returncode == 0, shown.stderr
    assert "question: cannot be opened" in shown.stdout
    assert "answer: cannot be opened" in shown.stdout
    assert "e2e wells by basin" not in shown.stdout
    assert "chain: ok" in shown.stdout
    assert len(await deployment.events(mine)) == before
    assert "question: e2e wells by basin" in _run(deployment, "case", "show", theirs, "--open").stdout
    assert await deployment.findings(cases) == []

    again = _run(deployment, "audit", "erase", subject, *WHO)
    assert again.returncode == 0
    assert "was erased before" in again.stdout
    unknown = _run(deployment, "audit", "erase", str(uuid.uuid4()), *WHO)
    assert unknown.returncode == 1
    assert "nobody is known" in unknown.stderr


async def test_who_comes_back_after_an_erasure_is_somebody_new(deployment: Deployment) -> None:
    name = f"{uuid.uuid4().hex}@example.com"
    (first,) = await deployment.submit([deployment.question("e2e wells by basin", user_id=name)])
    await deployment.closed([first])
    old = (await deployment.events(first))[0]["principal"]["subject"]
    assert _run(deployment, "audit", "erase", old, *WHO).returncode == 0

    (again,) = await deployment.submit([deployment.question("e2e wells by basin", user_id=name)])
    closed = await deployment.closed([again])

    assert closed[again]["outcome"] == "answered"
    assert (await deployment.events(again))[0]["principal"]["subject"] != old


async def test_what_is_kept_how_long_is_shown_and_nothing_is_retired_before_its_time(deployment: Deployment) -> None:
    shown = _run(deployment, "audit", "retention", "show")
    assert shown.returncode == 0, shown.stderr
    assert "outbound_email" in shown.stdout
    assert "1006.100" in shown.stdout
    ran = _run(deployment, "audit", "retention", "run", "--operator", "ada")
    assert ran.returncode == 0, ran.stderr
    assert "0 cases retired" in ran.stdout


async def test_what_an_operator_gets_wrong_is_said_with_its_remedy(deployment: Deployment) -> None:
    nameless = _run(deployment, "audit", "erase", str(uuid.uuid4()))
    assert (nameless.returncode, "--help" in nameless.stderr) == (1, True)
    wrong = _run(deployment, "audit", "erase", "alex@example.com", *WHO)
    assert (wrong.returncode, "is no UUID" in wrong.stderr) == (1, True)
    short = _run(deployment, "audit", "retention", "policy", "assist", "--keep-days", "3", "--citation", "x", *WHO[:2])
    assert short.returncode != 0
    free = _run(deployment, "audit", "retention", "release", "ffffffff", *WHO)
    assert (free.returncode, "no case whose id begins" in free.stderr) == (1, True)

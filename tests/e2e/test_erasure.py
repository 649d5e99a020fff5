"""A person is erased on the running stack, by the command that an operator types."""

from __future__ import annotations

import asyncio
import uuid

import pytest
from typer.testing import CliRunner

from switchyard.cli.app.errors import CommandFailed
from switchyard.cli.app.main import app
from tests.e2e.conftest import Deployment

pytestmark = pytest.mark.e2e
WHO = ("--operator", "ada", "--reason", "request 4711")


async def _run(deployment: Deployment, *arguments: str) -> tuple[int, str]:
    """The exit code and the whole output, in one line. In this process: importing everything takes seconds."""
    environment = {"SWITCHYARD_HOME": str(deployment.stack.home.folder)}
    ran = await asyncio.to_thread(CliRunner().invoke, app, arguments, env=environment)
    output = ran.output
    if isinstance(ran.exception, CommandFailed):
        return ran.exception.exit_code, f"{' '.join(output.split())} {ran.exception.message} {ran.exception.remedy}"
    if ran.exception is not None and not isinstance(ran.exception, SystemExit):
        raise ran.exception
    return ran.exit_code, " ".join(output.split())


async def test_erased_person_is_unreadable_and_every_row_stays(deployment: Deployment) -> None:
    name = f"{uuid.uuid4().hex}@example.com"
    cases = await deployment.submit(
        [deployment.question("e2e wells by basin", user_id=user) for user in (name, "bystander@example.com")]
    )
    await deployment.closed(cases)
    await deployment.settled(cases)
    mine, theirs = cases
    subject = (await deployment.events(mine))[0]["principal"]["subject"]
    before = len(await deployment.events(mine))
    assert "question: e2e wells by basin" in (await _run(deployment, "case", "show", mine, "--open"))[1]

    assert (await _run(deployment, "audit", "retention", "hold", mine, *WHO))[0] == 0
    code, refused = await _run(deployment, "audit", "erase", subject, *WHO)
    assert code == 1
    assert "legal hold" in refused
    assert (await _run(deployment, "audit", "retention", "release", mine, *WHO))[0] == 0

    code, erased = await _run(deployment, "audit", "erase", subject, *WHO)
    assert code == 0, erased
    for part in ("is erased", "by ada: request 4711", "switchyard-case-manager-dlq", "signature ok"):
        assert part in erased

    code, shown = await _run(deployment, "case", "show", mine, "--open")
    assert code == 0, shown
    assert "question: cannot be opened" in shown
    assert "answer: cannot be opened" in shown
    assert "e2e wells by basin" not in shown
    assert "chain: ok" in shown
    assert len(await deployment.events(mine)) == before
    assert "question: e2e wells by basin" in (await _run(deployment, "case", "show", theirs, "--open"))[1]
    assert await deployment.findings(cases) == []

    code, again = await _run(deployment, "audit", "erase", subject, *WHO)
    assert (code, "was erased before" in again) == (0, True)
    code, unknown = await _run(deployment, "audit", "erase", str(uuid.uuid4()), *WHO)
    assert (code, "no person has the subject" in unknown) == (1, True)


async def test_returning_person_after_an_erasure_has_a_new_subject(deployment: Deployment) -> None:
    name = f"{uuid.uuid4().hex}@example.com"
    (first,) = await deployment.submit([deployment.question("e2e wells by basin", user_id=name)])
    await deployment.closed([first])
    old = (await deployment.events(first))[0]["principal"]["subject"]
    assert (await _run(deployment, "audit", "erase", old, *WHO))[0] == 0

    (again,) = await deployment.submit([deployment.question("e2e wells by basin", user_id=name)])
    closed = await deployment.closed([again])

    assert closed[again]["outcome"] == "answered"
    assert (await deployment.events(again))[0]["principal"]["subject"] != old


async def test_retention_is_listed_and_nothing_retired_early(deployment: Deployment) -> None:
    code, shown = await _run(deployment, "audit", "retention", "show")
    assert code == 0, shown
    assert "outbound_email" in shown
    assert "1006.100" in shown
    code, ran = await _run(deployment, "audit", "retention", "run", "--operator", "ada")
    assert code == 0, ran
    assert "0 cases retired" in ran


@pytest.mark.parametrize(
    ("arguments", "exit_code", "expected"),
    [
        (("audit", "erase", "00000000-0000-4000-8000-000000000000"), 2, "an argument is missing"),
        (("audit", "erase", "alex@example.com", *WHO), 2, "expected a UUID"),
        (("audit", "retention", "release", "ffffffff", *WHO), 1, "no case has an id that begins"),
    ],
)
async def test_wrong_argument_fails_with_its_exit_code(
    deployment: Deployment, arguments: tuple[str, ...], exit_code: int, expected: str
) -> None:
    code, output = await _run(deployment, *arguments)
    assert code == exit_code
    assert expected in output

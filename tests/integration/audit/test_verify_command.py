"""`switchyard audit verify` of a whole log: what it prints of what was read and what was not, and its processes."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from switchyard.audit.records.roles import READER
from switchyard.audit.records.store import AuditStore
from switchyard.audit.verification.verified_prefix import SETTLING
from switchyard.cli.app.errors import InvalidArgument
from switchyard.cli.app.main import app
from switchyard.devstack.stack.provision import CHECKPOINT_BUCKET
from tests.integration.audit.conftest import Owner, UrlFor
from tests.integration.audit.proof import ROW_KEY, SIGNER, Proof
from tests.unit.audit import cases

pytestmark = pytest.mark.integration


@pytest.fixture
def environment(
    url_for: UrlFor, proof: Proof, aws: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> pytest.MonkeyPatch:
    """What the job's task has, with a clock by which the first checkpoint has settled."""
    clock = tmp_path / "clock"
    clock.write_text(str(2 * SETTLING.total_seconds()))
    for name, value in {
        "AUDIT_DB_URL": url_for(READER),
        "CHECKPOINT_BUCKET": CHECKPOINT_BUCKET,
        "CHECKPOINT_LOG": proof.log,
        "CHECKPOINT_PUBLIC_KEYS": base64.b64encode(SIGNER.public).decode(),
        "ROW_KEY": ROW_KEY.hex(),
        "CLOCK_FILE": str(clock),
        "ENV": "aws",
    }.items():
        monkeypatch.setenv(f"SWITCHYARD_{name}", value)
    return monkeypatch


async def run(*options: str) -> tuple[int, str]:
    """The exit code, and what was printed."""
    result = await asyncio.to_thread(CliRunner().invoke, app, ["audit", "verify", *options])
    assert isinstance(result.exception, SystemExit | None), result.exception
    return result.exit_code, " ".join(result.stdout.split())


async def test_incremental_command_says_what_was_read_and_what_was_not(
    environment: pytest.MonkeyPatch, store: AuditStore, proof: Proof
) -> None:
    await store.record(cases.bodies(cases.answered(1)))
    await proof.checkpoint()

    first = await run("--incremental")
    again = await run("--incremental")

    assert first[0] == again[0] == 0
    assert "verified rows 1..9: every row, because no verification was recorded in the last 35 days" in first[1]
    assert "the next incremental verification begins after row 9" in first[1]
    assert "verified no new row incrementally from checkpoint 1; full last at " in again[1]
    assert "rows 1..9 were verified before and not read again" in again[1]
    assert "only a full verification finds what was altered in them since" in again[1]


async def test_incremental_command_of_one_case_is_refused(environment: pytest.MonkeyPatch) -> None:
    result = await asyncio.to_thread(CliRunner().invoke, app, ["audit", "verify", "--incremental", "3b00"])

    assert isinstance(result.exception, InvalidArgument)
    assert "--incremental verifies the whole log" in str(result.exception)


@pytest.mark.slow
async def test_full_command_in_two_processes_finds_what_one_finds(
    environment: pytest.MonkeyPatch, store: AuditStore, proof: Proof, owner: Owner
) -> None:
    for number in range(6):
        await store.record(cases.bodies(cases.answered(number)))
        await proof.checkpoint()
    await owner.execute("alter table transition disable trigger all")
    await owner.execute("update transition set body = replace(body, '8750', '9999') where rubric_score = 8750")

    one, two = [await run("--checkpoints", "--json", "--processes", count) for count in ("1", "2")]

    assert one == two
    assert one[0] == 1
    found = json.loads(one[1])
    assert (found["rows"], found["finding_count"], found["checkpoints"]["finding_count"]) == (54, 12, 6)
    assert (found["verified"]["mode"], found["verified"]["recorded_up_to"]) == ("full", None)

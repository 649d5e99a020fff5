"""Who read what in a user's name: as the log has it, as commands list it, and compared with what was issued."""

from __future__ import annotations

import asyncio
import json
import uuid
from datetime import timedelta
from typing import Any, TypeAlias

import asyncpg
import pytest
from typer.testing import CliRunner

from contracts.events.specialists import FindingsReady
from services.app import APP
from switchyard.audit.reconciliation.completeness import GapKind
from switchyard.audit.reconciliation.producers import Producers
from switchyard.audit.reconciliation.reconciler import LogPresence, Reconciler
from switchyard.audit.records.roles import READER
from switchyard.audit.records.store import AuditStore
from switchyard.audit.verification.audit_reader import AuditReader
from switchyard.audit.verification.findings import FindingKind
from switchyard.cli.app.console import console
from switchyard.cli.app.main import app
from switchyard.protocol.fields import Json
from switchyard.runtime.core.clock import SystemClock
from tests.integration.audit import recorded
from tests.integration.audit.conftest import UrlFor
from tests.integration.audit.proof import Proof
from tests.integration.conftest import PoolFor
from tests.integration.infrastructure import Owner as WorkOwner
from tests.unit.audit import cases

pytestmark = pytest.mark.integration
Owner: TypeAlias = "asyncpg.Connection[Any]"
ANA = uuid.UUID(recorded.ANA)


@pytest.fixture
async def log(store: AuditStore) -> None:
    await store.record(recorded.log())


async def test_credentials_used_in_a_users_name_are_listed_with_case_and_agent(log: None, reader: AuditReader) -> None:
    [used] = await reader.accesses(ANA)
    expected = recorded.credential(recorded.ANA, 101)
    assert (used.case_id, used.agent, used.audience) == (recorded.CASES["answered"], "text_to_sql", expected.audience)
    assert (tuple(used.scopes), used.grant_id, used.jti) == (expected.scopes, expected.grant, expected.jti)
    assert used.transition == FindingsReady.__name__
    assert await reader.accesses(ANA, agent="drafter") == []
    assert await reader.accesses(ANA, since=used.recorded_at) == [used]
    assert await reader.accesses(ANA, since=used.recorded_at + timedelta(seconds=1)) == []
    assert [other.jti for other in await reader.accesses(uuid.UUID(recorded.BEN))] != [used.jti]
    assert await reader.accesses(uuid.uuid4()) == []


async def test_credentials_stay_listed_when_bodies_are_retired(log: None, reader: AuditReader, owner: Owner) -> None:
    before = await reader.accesses(ANA)
    await owner.execute("alter table transition disable trigger append_only_update")
    await owner.execute("update transition set body = null")
    assert await reader.accesses(ANA) == before


@pytest.mark.parametrize(
    "access", ["null", "'[]'", "'{'", "'\"' || repeat('[', 100000)", "replace(access, 'NORTH', 'ALL')"]
)
async def test_changed_credentials_of_a_row_are_a_finding_and_the_rest_is_read(
    access: str, log: None, reader: AuditReader, owner: Owner
) -> None:
    await owner.execute("alter table transition disable trigger append_only_update")
    await owner.execute(f"update transition set access = {access} where access is not null and subject = $1", ANA)
    report = await reader.verify()
    assert {(finding.kind, finding.field) for finding in report.findings} >= {(FindingKind.COLUMN_DIFFERS, "access")}
    await reader.accesses(ANA)
    assert await reader.accesses(uuid.UUID(recorded.BEN))


def switchyard(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["audit", "access", *arguments, "--env", "aws"])


async def test_audit_access_prints_a_table_of_80_columns_and_json(
    log: None, url_for: UrlFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWITCHYARD_AUDIT_DB_URL", url_for(READER))
    monkeypatch.setattr(console, "width", 80)
    shown = await asyncio.to_thread(switchyard, recorded.ANA)
    assert shown.exit_code == 0, shown.output
    assert max(map(len, shown.output.splitlines())) <= 80
    for text in (
        "text_to_sql",
        recorded.CASES["answered"][:8],
        "warehouse.example",
        "session:role:NORTH",
        "1 credential",
    ):
        assert text in shown.output, shown.output
    found = await asyncio.to_thread(switchyard, recorded.ANA, "--json", "--agent", "text_to_sql", "--since", "1h")
    [row] = json.loads(found.output)
    assert (row["jti"], row["scopes"], row["case_id"]) == (
        "tok-101",
        ["session:role:NORTH"],
        recorded.CASES["answered"],
    )
    assert json.loads((await asyncio.to_thread(switchyard, recorded.ANA, "--json", "--agent", "drafter")).output) == []
    assert "expected a UUID" in str((await asyncio.to_thread(switchyard, "ana@acme.example")).exception)


async def compared(proof: Proof, pool_for: PoolFor, case: Json) -> set[GapKind]:
    """What the reconciler finds in credentials."""

    async def no_queues() -> dict[str, int]:
        return {}

    producers = Producers(await pool_for("reconciler"), ())
    reconciler = Reconciler(
        producers, LogPresence(proof._reading), no_queues, SystemClock(), timedelta(seconds=60), APP.routing_table
    )
    found = await reconciler.run()
    assert not found.ok
    kinds = {gap.kind for gap in found.gaps if gap.case_id == case["case_id"]}
    return kinds & {GapKind.UNRECORDED, GapKind.UNISSUED}


async def test_credential_used_without_a_row_is_found_by_the_reconciler(
    store: AuditStore, proof: Proof, pool_for: PoolFor, infrastructure: Any
) -> None:
    number = uuid.uuid4().int % 10**9
    events = recorded.answered(number, recorded.ANA, "s-1", 1, recorded.call(recorded.PRIMARY, 1, (1, 1)), 10)
    await store.record(cases.bodies(events))
    command = next(event for event in events if event["type"] == "AnswerQuestion")
    used = recorded.credential(recorded.ANA, number)
    assert await compared(proof, pool_for, command) == {GapKind.UNISSUED}
    work: WorkOwner = await asyncpg.connect(infrastructure.owner_url())
    issue = (
        "insert into identity.issued_token"
        " (jti, task_id, grant_id, case_id, agent, audience, scopes, issued_at, expires_at)"
        " values ($1, $2, $3, $4, $5, $6, $7, now() - interval '1 minute', now())"
    )
    fields = (command["event_id"], used.grant, command["case_id"], used.agent, used.audience, list(used.scopes))
    await work.execute(issue, used.jti, *fields)
    assert await compared(proof, pool_for, command) == set()
    hidden = (*fields[:-1], ["session:role:ALL"])
    await work.execute(issue, "tok-hidden", *hidden)
    assert await compared(proof, pool_for, command) == {GapKind.UNRECORDED}
    await work.execute("delete from identity.issued_token where case_id = $1", command["case_id"])
    await work.close()

"""A person's key is destroyed: nothing about them can be read, the log still verifies, and a receipt says so."""

from __future__ import annotations

import asyncio
import hashlib
import json
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from contracts.catalogue import CATALOGUE
from switchyard.audit.erasure.erasure import (
    ErasureAllowed,
    ErasureDenied,
    ErasureNotNeeded,
    ErasureService,
    read_erasure,
)
from switchyard.audit.records.roles import READER, RETENTION, SCHEMA
from switchyard.audit.records.store import AuditStore
from switchyard.audit.verification.audit_reader import AuditReader
from switchyard.protocol.fields import Json
from switchyard.protocol.topology import consumers
from switchyard.runtime.core.clock import SystemClock
from switchyard.runtime.core.errors import PermanentTaskError
from switchyard.runtime.crypto.erasure import ERASER_ROLE, KeyEraser, KeyErasure, KeyState
from switchyard.runtime.crypto.signing import LocalSigner, Signer, TrustedKeys
from switchyard.runtime.crypto.vault import CACHE_S, LocalKeyWrapper, Vault
from switchyard.runtime.database.connections import connect_pool
from tests.integration.audit.conftest import Owner, UrlFor
from tests.integration.conftest import PoolFor
from tests.integration.events import opened
from tests.integration.infrastructure import Infrastructure
from tests.integration.manual_clock import ManualClock
from tests.unit.audit import cases

pytestmark = pytest.mark.integration
SIGNER = LocalSigner(bytes(32))
WRAPPER = LocalKeyWrapper(bytes(32))


@pytest.fixture
async def keys(infrastructure: Infrastructure) -> AsyncIterator[KeyEraser]:
    pool = await connect_pool(infrastructure.role_url(ERASER_ROLE), schema="vault")
    yield KeyEraser(pool)
    await pool.close()


@pytest.fixture
async def erasures(url_for: UrlFor, keys: KeyEraser) -> AsyncIterator[ErasureService]:
    pool = await connect_pool(url_for(RETENTION), schema=SCHEMA)
    yield ErasureService(pool, CATALOGUE, keys, SIGNER, SystemClock())
    await pool.close()


@pytest.fixture
async def vault(pool_for: PoolFor, clock: ManualClock) -> Vault:
    return Vault(await pool_for("case_manager"), WRAPPER, clock, use="intake")


@pytest.fixture
async def subject(vault: Vault) -> str:
    """Somebody with a key."""
    name = uuid.uuid4().hex
    return await vault.subject_for("acme", name, hashlib.sha256(name.encode()).digest())


def case_about(subject: str, number: int = 1, **changes: str) -> list[Json]:
    """The beginning of a case about a person."""
    opened = cases.first(number)
    principal = opened["principal"] | {"subject": subject}
    return [cases.rewritten(opened, principal=principal, **changes)]


@pytest.fixture
async def reader(url_for: UrlFor) -> AsyncIterator[AuditReader]:
    """A reviewer who trusts the key of the receipts."""
    pool = await connect_pool(url_for(READER), schema=SCHEMA)
    yield AuditReader(pool, CATALOGUE, trusted=TrustedKeys([SIGNER.public]))
    await pool.close()


async def test_erased_person_is_unreadable_and_the_log_verifies(
    erasures: ErasureService,
    pool_for: PoolFor,
    subject: str,
    store: AuditStore,
    reader: AuditReader,
    clock: ManualClock,
) -> None:
    await store.record(cases.bodies(case_about(subject)))
    asked_in = {"case_id": opened(subject=subject)["case_id"], "name": "question"}
    vault = Vault(await pool_for("reviewer"), WRAPPER, clock, use="review")
    sealed = await vault.seal(subject, b"How deep is it?", **asked_in)

    asked = await erasures.erase(subject, operator="ada", reason="asked to")

    assert asked.decision == ErasureAllowed(None)
    clock.advance(CACHE_S)  # what the receipt promises: by then every process has forgotten the key
    with pytest.raises(PermanentTaskError, match="key_erased"):
        await vault.open(subject, sealed, **asked_in)
    report = await reader.verify()
    assert (report.finding_count, report.rows) == (0, 1)


async def test_receipt_is_signed_and_names_cases_operator_and_copies(
    erasures: ErasureService, subject: str, store: AuditStore
) -> None:
    events = case_about(subject)
    await store.record(cases.bodies(events))

    asked = await erasures.erase(subject, operator="ada", reason="asked to")

    assert asked.receipt is not None
    statement, invalid_reason = read_erasure(asked.receipt, TrustedKeys([SIGNER.public]))
    assert invalid_reason is None
    assert (statement.subject, statement.erased_by, statement.reason) == (subject, "ada", "asked to")
    assert (statement.case_ids, statement.events) == ((events[0]["case_id"],), 1)
    every = {queue for each in consumers(CATALOGUE) for queue in (each.queue, *each.lanes, each.dead_letter_queue)}
    assert sorted(copies.queue for copies in statement.queues) == sorted(every)
    _, forged = read_erasure(asked.receipt, TrustedKeys([LocalSigner(b"\x01" * 32).public]))
    assert forged is not None


async def test_erasure_repeated_returns_the_same_receipt(erasures: ErasureService, subject: str) -> None:
    first = await erasures.erase(subject, operator="ada", reason="asked to")
    again = await erasures.erase(subject, operator="ben", reason="asked twice")
    assert again.decision == ErasureNotNeeded.ALREADY_ERASED
    assert again.receipt == first.receipt


async def test_erasure_requested_concurrently_happens_once(
    erasures: ErasureService, subject: str, owner: Owner
) -> None:
    asked = await asyncio.gather(*(erasures.erase(subject, operator=f"o{n}", reason="asked to") for n in range(4)))
    assert sorted(type(one.decision).__name__ for one in asked) == [
        "ErasureAllowed",
        "ErasureNotNeeded",
        "ErasureNotNeeded",
        "ErasureNotNeeded",
    ]
    assert await owner.fetchval("select count(*) from erasure_receipt") == 1


async def test_unknown_person_is_not_erased(erasures: ErasureService, owner: Owner) -> None:
    asked = await erasures.erase(str(uuid.uuid4()), operator="ada", reason="asked to")
    assert (asked.decision, asked.receipt) == (ErasureNotNeeded.PERSON_UNKNOWN, None)
    assert await owner.fetchval("select count(*) from erasure_receipt") == 0


async def test_legal_duty_denies_erasure_with_its_end_and_keeps_the_key(
    erasures: ErasureService, keys: KeyEraser, subject: str, store: AuditStore
) -> None:
    await store.record(cases.bodies(case_about(subject, playbook_version="outbound_email/1")))
    asked = await erasures.erase(subject, operator="ada", reason="asked to")
    assert isinstance(asked.decision, ErasureDenied)
    assert asked.decision.until is not None
    assert timedelta(days=1_090) < asked.decision.until - datetime.now(UTC) < timedelta(days=1_100)
    assert "12 CFR 1006.100" in asked.decision.why
    assert await keys.state(subject) == KeyState(True, None)


async def test_hold_denies_erasure_until_its_release(
    erasures: ErasureService, subject: str, store: AuditStore, owner: Owner
) -> None:
    events = case_about(subject)
    await store.record(cases.bodies(events))
    hold = await owner.fetchval(
        "insert into legal_hold (case_id, reason, placed_by) values ($1, 'a complaint', 'ada') returning hold_id",
        uuid.UUID(events[0]["case_id"]),
    )
    refused = await erasures.erase(subject, operator="ada", reason="asked to")
    assert isinstance(refused.decision, ErasureDenied)
    assert "legal hold" in refused.decision.why
    await owner.execute("insert into legal_hold_release (hold_id, reason, released_by) values ($1, 'r', 'ada')", hold)
    assert (await erasures.erase(subject, operator="ada", reason="asked to")).decision == ErasureAllowed(None)


class _Killed(Exception):
    pass


class _DyingSigner:
    """The process dies here: the key is destroyed and no receipt is written."""

    public = SIGNER.public

    async def sign(self, message: bytes) -> bytes:
        raise _Killed


async def test_erasure_killed_before_receipt_is_completed_on_repeat(
    erasures: ErasureService, keys: KeyEraser, url_for: UrlFor, subject: str
) -> None:
    dying: Signer = _DyingSigner()
    pool = await connect_pool(url_for(RETENTION), schema=SCHEMA)
    with pytest.raises(_Killed):
        await ErasureService(pool, CATALOGUE, keys, dying, SystemClock()).erase(
            subject, operator="ada", reason="asked to"
        )
    await pool.close()
    state = await keys.state(subject)
    assert state.erased is not None
    assert not state.present

    asked = await erasures.erase(subject, operator="ben", reason="finishing")

    assert asked.decision == ErasureAllowed(state.erased)
    assert asked.receipt is not None
    statement, _ = read_erasure(asked.receipt, TrustedKeys([SIGNER.public]))
    assert (statement.erased_by, statement.reason) == ("ada", "asked to")


async def test_erased_key_restored_by_a_backup_is_destroyed_again(
    erasures: ErasureService, keys: KeyEraser, subject: str, infrastructure: Infrastructure
) -> None:
    work = await asyncpg.connect(infrastructure.owner_url())
    saved = await work.fetchrow("select * from vault.subject_key where subject = $1", uuid.UUID(subject))
    assert saved is not None
    await erasures.erase(subject, operator="ada", reason="asked to")
    await work.execute("insert into vault.subject_key values ($1, $2, $3, $4, $5, $6)", *saved.values())
    assert (await keys.state(subject)).present

    assert await erasures.again() == [subject]

    state = await keys.state(subject)
    assert not state.present
    assert isinstance(state.erased, KeyErasure)
    assert await erasures.again() == []
    await work.close()


async def test_eraser_role_can_neither_read_nor_create_a_key(infrastructure: Infrastructure) -> None:
    connection = await asyncpg.connect(infrastructure.role_url(ERASER_ROLE))
    for statement in (
        "select wrapped_key from vault.subject_key",
        "insert into vault.subject_key (subject) values (gen_random_uuid())",
        "update vault.subject_key set tenant = ''",
        "delete from vault.erased_subject",
        "update vault.erased_subject set reason = ''",
        "select * from case_manager.submission",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    await connection.close()


async def test_receipts_cannot_be_changed_by_their_owner(erasures: ErasureService, subject: str, owner: Owner) -> None:
    await erasures.erase(subject, operator="ada", reason="asked to")
    for change in ("delete from erasure_receipt", "update erasure_receipt set key = ''", "truncate erasure_receipt"):
        with pytest.raises(asyncpg.RaiseError, match="append-only"):
            await owner.execute(change)
    statement = json.loads(await owner.fetchval("select statement from erasure_receipt"))
    assert statement["subject"] == subject

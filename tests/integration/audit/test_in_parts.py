"""A verification in parts has the findings of one in sequence, in their order, also of a log that was attacked."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime

import pytest

from switchyard.audit.records.store import AuditStore
from switchyard.audit.transparency.checkpoint import (
    Checkpoint,
    CheckpointBody,
    checkpoint_key,
    head_after,
    next_checkpoint_body,
)
from switchyard.audit.verification.audit_reader import AuditReader
from switchyard.audit.verification.in_parts import verify_chain_in_parts, verify_checkpoints_in_parts
from switchyard.devstack.stack.provision import CHECKPOINT_BUCKET
from switchyard.protocol.fields import Json
from switchyard.runtime.crypto.signing import key_name
from tests.integration.audit.conftest import Owner
from tests.integration.audit.proof import SIGNER, Proof
from tests.integration.cloud import Cloud
from tests.unit.audit import cases

pytestmark = pytest.mark.integration
CHECKPOINTS, CASES_EACH = 6, 3
ROWS = CHECKPOINTS * CASES_EACH * 9
NOW = cases.NOW.replace(year=cases.NOW.year + 1)

TAMPERINGS = (
    "update transition set body = replace(body, '8750', '9999') where event_id = $1",
    "update transition set seq = seq + 1 where event_id = $1",
    "update transition set parents = '{}' where event_id = $1",
    "update transition set case_id = gen_random_uuid() where event_id = $1",
    "update transition set case_id = 'ffffffff-ffff-4fff-bfff-ffffffffffff' where event_id = $1",
    "update transition set body = null where event_id = $1",
    "delete from transition where event_id = $1",
    "delete from log_entry where event_id = $1",
    "update log_entry set log_index = log_index + 1000 where event_id = $1",
    "update log_entry set log_index = -log_index where event_id = $1",
    "update log_entry set digest = repeat('0', 64) where event_id = $1",
    "update log_entry set recorded_at = recorded_at - interval '1 year' where event_id = $1",
    "delete from checkpoint where last_index % 4 = 2 and $1::uuid is not null",
)
"""What an owner does to one event that is drawn at random."""


async def assert_equal_in_parts(reader: AuditReader, proof: Proof) -> tuple[Json, Json]:
    """Both verifications, in sequence and in several numbers of parts."""
    verifier, now = proof.verifier(), datetime.now(UTC)
    chain, checkpoints = asdict(await reader.verify(now=NOW)), asdict(await verifier.verify(now=now))
    for parts in (1, 2, 3, 9):
        in_parts = await verify_chain_in_parts(reader, reader.verify_range, parts=parts, now=NOW)
        assert asdict(in_parts) == chain
        linked = await verify_checkpoints_in_parts(verifier, verifier.verify_range, parts=parts, now=now)
        assert asdict(linked) == checkpoints
    return chain, checkpoints


@pytest.fixture
async def events(store: AuditStore, proof: Proof, owner: Owner) -> list[Json]:
    """What six checkpoints cover, with the triggers out of the way, and the constraints of the log indexes."""
    made: list[Json] = []
    numbers = iter(range(CHECKPOINTS * CASES_EACH))
    for _ in range(CHECKPOINTS):
        new = [event for _ in range(CASES_EACH) for event in cases.answered(next(numbers))]
        await store.record(cases.bodies(new))
        await proof.checkpoint()
        made += new
    for table in ("transition", "log_entry", "checkpoint", "unindexed"):
        await owner.execute(f"alter table {table} disable trigger all")
    await owner.execute("alter table log_entry drop constraint log_entry_log_index_check")
    return made


async def test_intact_log_in_parts_is_equal_and_ok(events: list[Json], reader: AuditReader, proof: Proof) -> None:
    chain, checkpoints = await assert_equal_in_parts(reader, proof)

    assert (chain["finding_count"], chain["rows"], chain["cases"]) == (0, ROWS, CHECKPOINTS * CASES_EACH)
    assert (checkpoints["finding_count"], checkpoints["covered_rows"]) == (0, ROWS)


@pytest.mark.slow
async def test_tampered_logs_in_parts_have_the_same_findings(
    events: list[Json], reader: AuditReader, proof: Proof, owner: Owner, cloud: Cloud
) -> None:
    """One random attack after the other on the same log: findings pile up, and the order must hold."""
    for number, tampering in _drawn(random.Random(7)):
        await owner.execute(tampering, events[number]["event_id"])
        if number % 4 == 0:
            await assert_equal_in_parts(reader, proof)
    for number in (2, 4, 6):
        await cloud.s3.put_object(Bucket=CHECKPOINT_BUCKET, Key=checkpoint_key(proof.log, number), Body=b"{}")

    chain, checkpoints = await assert_equal_in_parts(reader, proof)

    assert chain["finding_count"] > 10
    assert checkpoints["finding_count"] > 10


def _drawn(dice: random.Random) -> Iterator[tuple[int, str]]:
    for tampering in dice.sample(TAMPERINGS, len(TAMPERINGS)):
        yield dice.randrange(ROWS), tampering


@pytest.mark.slow
async def test_checkpoints_without_order_in_parts_are_verified_in_sequence(
    events: list[Json], reader: AuditReader, proof: Proof, cloud: Cloud, owner: Owner
) -> None:
    """A thief of the checkpoints' key signs one that goes back, and unreadable and missing ones are around it."""
    bodies = [
        CheckpointBody.model_validate_json(row["body"])
        for row in await owner.fetch("select body from checkpoint order by number")
    ]
    leaves = [leaf.hash() for leaf in await proof.transparency_log.leaves(bodies[0].first, bodies[1].last)]
    back = next_checkpoint_body(
        head_after(bodies[-1]), leaves, log=proof.log, made_at=datetime.now(UTC), key=key_name(SIGNER.public)
    ).model_copy(update={"first": 1, "last": len(leaves)})
    made = Checkpoint(back, await SIGNER.sign(back.signed_bytes()), tuple(leaves))
    for number, data in ((7, made.to_bytes()), (8, b"{}"), (11, made.to_bytes()), (12, b"")):
        await cloud.s3.put_object(Bucket=CHECKPOINT_BUCKET, Key=checkpoint_key(proof.log, number), Body=data)

    _, checkpoints = await assert_equal_in_parts(reader, proof)

    assert {found["kind"] for found in checkpoints["findings"]} >= {"checkpoint_unlinked", "checkpoint_missing"}

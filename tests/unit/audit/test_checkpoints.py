"""Checkpoints: what is signed, how it reads back, and when it does not continue what was before."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from switchyard.audit.transparency.checkpoint import (
    NO_PREVIOUS_HASH,
    Checkpoint,
    Leaf,
    LogHead,
    UnreadableCheckpoint,
    checkpoint_key,
    checkpoint_number,
    explain_unlinked,
    head_after,
    next_checkpoint_body,
)
from switchyard.audit.transparency.checkpointer import CheckpointSchedule
from switchyard.audit.verification.checkpoint_checks import StoredCheckpoint, check_object_lock
from switchyard.audit.verification.findings import FindingKind
from switchyard.runtime.crypto.signing import LocalSigner, TrustedKeys, key_name, public_keys
from switchyard.runtime.storage.locked_objects import LockMode, ObjectLock

SIGNER = LocalSigner(b"\7" * 32)
AT = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
KEY_ID = "00000000-0000-4000-8000-00000000000a"
LEAF = Leaf(
    1, date(2026, 11, 21), "00000000-0000-4000-8000-000000000001", "ab" * 32, AT, b"\1" * 32, b"\2" * 32, KEY_ID
)


def leaves(count: int) -> list[bytes]:
    return [replace(LEAF, log_index=log_index).hash() for log_index in range(1, count + 1)]


async def checkpoint(head: LogHead | None = None, count: int = 3) -> Checkpoint:
    body = next_checkpoint_body(head or LogHead(), leaves(count), log="main", made_at=AT, key=key_name(SIGNER.public))
    return Checkpoint(body, await SIGNER.sign(body.signed_bytes()), tuple(leaves(count)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("log_index", 2),
        ("opened_on", date(2026, 11, 22)),
        ("event_id", "00000000-0000-4000-8000-000000000002"),
        ("digest", "ac" * 32),
        ("recorded_at", AT + timedelta(microseconds=1)),
        ("body_sha256", b"\2" * 32),
        ("mac", b"\3" * 32),
        ("mac_key", "00000000-0000-4000-8000-00000000000b"),
    ],
)
def test_leaf_hash_covers_every_field(name: str, value: Any) -> None:
    assert replace(LEAF, **{name: value}).hash() != LEAF.hash()


async def test_checkpoint_written_and_read_is_equal() -> None:
    made = await checkpoint()

    assert Checkpoint.from_bytes(made.to_bytes()) == made
    assert TrustedKeys([SIGNER.public]).invalid_reason(made.body.key, made.body.signed_bytes(), made.signature) is None


async def test_checkpoints_continue_each_other() -> None:
    one = await checkpoint()
    two = await checkpoint(head_after(one.body), 2)

    assert (one.body.first, one.body.last, one.body.previous) == (1, 3, NO_PREVIOUS_HASH)
    assert (two.body.number, two.body.first, two.body.last) == (2, 4, 5)
    assert two.body.previous == one.body.hash()
    assert explain_unlinked(head_after(one.body), two.body) is None


async def test_unlinked_checkpoint_names_the_differing_fields() -> None:
    one = await checkpoint()
    two = (await checkpoint(head_after(one.body), 2)).body

    assert (
        explain_unlinked(LogHead(), two) == "it does not continue checkpoint 0: number, last, hash, not_before differ"
    )
    assert "hash" in (explain_unlinked(replace(head_after(one.body), hash="0" * 64), two) or "")
    backwards = two.model_copy(update={"last": 3})
    assert "last" in (explain_unlinked(head_after(one.body), backwards) or "")


async def test_invalid_checkpoint_bytes_are_rejected() -> None:
    data = (await checkpoint()).to_bytes()

    for broken in (b"", b"{}", b"[]", b"\xff", data[:-1], data.replace(b'"last":3', b'"last":2')):
        with pytest.raises(UnreadableCheckpoint):
            Checkpoint.from_bytes(broken)
    made = await checkpoint()
    with pytest.raises(UnreadableCheckpoint, match="leaf hashes"):
        Checkpoint.from_bytes(replace(made, leaves=made.leaves[::-1]).to_bytes())


async def test_signature_is_valid_for_trusted_key_and_exact_bytes_only() -> None:
    made, keys = await checkpoint(), TrustedKeys([SIGNER.public])
    key, message = made.body.key, made.body.signed_bytes()

    assert keys.invalid_reason(key, message + b" ", made.signature) == "its signature does not match"
    assert keys.invalid_reason(key, message, made.signature[::-1]) == "its signature does not match"
    assert keys.invalid_reason("0" * 64, message, made.signature) == "it is signed by a key that is not trusted"


@pytest.mark.parametrize("text", ["AAAA", "no base64"])
def test_invalid_public_key_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match="a public key is"):
        TrustedKeys(public_keys(text))


@pytest.mark.parametrize(
    ("rows", "oldest_s", "expected"), [(0, 0, False), (9, 59, False), (10, 0, True), (1, 60, True)]
)
def test_checkpoint_is_due_after_rows_or_seconds_and_never_for_nothing(
    rows: int, oldest_s: float, expected: bool
) -> None:
    assert CheckpointSchedule(10, 60, timedelta(days=1)).is_due(rows, oldest_s) is expected


def test_names_of_objects_are_in_the_order_of_their_numbers() -> None:
    names = [checkpoint_key("main", number) for number in (1, 9, 10, 123_456)]

    assert names == sorted(names)
    assert [checkpoint_number(name) for name in names] == [1, 9, 10, 123_456]
    for other in ("checkpoints/main/readme.txt", "checkpoints/main/1.json", "checkpoints/main/x000000000001.json"):
        assert checkpoint_number(other) is None


@pytest.mark.parametrize(
    ("lock", "field"),
    [
        (None, None),
        (ObjectLock("GOVERNANCE", AT + timedelta(days=1)), "mode"),
        (ObjectLock("", AT + timedelta(days=1)), "mode"),
        (ObjectLock("COMPLIANCE", AT), "until"),
    ],
)
def test_weak_or_expired_object_lock_is_reported_as_unlocked(lock: ObjectLock | None, field: str | None) -> None:
    stored = StoredCheckpoint(1, b"{}", 1, lock, None)
    (found,) = check_object_lock(stored, mode="COMPLIANCE", now=AT)
    assert (found.kind, found.field) == (FindingKind.CHECKPOINT_UNLOCKED, field)


@pytest.mark.parametrize(
    ("mode", "wanted"), [("COMPLIANCE", "COMPLIANCE"), ("COMPLIANCE", "GOVERNANCE"), ("GOVERNANCE",) * 2]
)
def test_object_lock_of_required_or_stricter_mode_is_accepted(mode: str, wanted: LockMode) -> None:
    stored = StoredCheckpoint(1, b"{}", 1, ObjectLock(mode, AT + timedelta(seconds=1)), None)
    assert list(check_object_lock(stored, mode=wanted, now=AT)) == []

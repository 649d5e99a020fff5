"""What is about a person is sealed under a key of their own; without the key it is noise."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiobotocore.session import AioSession

from switchyard.runtime.core.errors import PermanentTaskError, Unavailable
from switchyard.runtime.crypto.vault import CACHE_S, KeyWrapper, KmsKeyWrapper, LocalKeyWrapper, Vault
from tests.integration.conftest import PoolFor
from tests.integration.events import fresh_id
from tests.integration.infrastructure import Owner
from tests.integration.manual_clock import ManualClock

pytestmark = pytest.mark.integration

SECRET = b"How deep is Zanzibar-4711?"
CONTEXT = b"switchyard/artefact/case/question"


@pytest.fixture
def wrapper() -> KeyWrapper:
    return LocalKeyWrapper(bytes(32))


@pytest.fixture
async def vault(pool_for: PoolFor, wrapper: KeyWrapper, clock: ManualClock) -> Vault:
    """The case manager's vault: the one that makes keys."""
    return Vault(await pool_for("case_manager"), wrapper, clock)


@pytest.fixture
async def kms(aws: None, aws_session: AioSession) -> AsyncIterator[Any]:
    async with aws_session.create_client("kms") as client:
        yield client


async def person(vault: Vault, name: str | None = None) -> str:
    """The pseudonym of somebody."""
    name = name or f"user-{fresh_id()}"
    return await vault.subject_for("acme", name, hashlib.sha256(name.encode()).digest())


async def test_what_was_sealed_for_a_person_is_opened_by_an_agent(
    vault: Vault, pool_for: PoolFor, wrapper: KeyWrapper, clock: ManualClock
) -> None:
    subject = await person(vault)
    sealed = await vault.seal(subject, SECRET, context=CONTEXT)
    agents = Vault(await pool_for("text_to_sql"), wrapper, clock)
    assert SECRET not in sealed
    assert await agents.open(subject, sealed, context=CONTEXT) == SECRET


async def test_sealing_twice_gives_different_bytes(vault: Vault) -> None:
    subject = await person(vault)
    assert await vault.seal(subject, SECRET, context=CONTEXT) != await vault.seal(subject, SECRET, context=CONTEXT)


@pytest.mark.parametrize("position", [0, 11, 12, -1])
async def test_altered_bytes_are_refused(vault: Vault, position: int) -> None:
    subject = await person(vault)
    sealed = bytearray(await vault.seal(subject, SECRET, context=CONTEXT))
    sealed[position] ^= 1
    with pytest.raises(PermanentTaskError, match="seal_broken"):
        await vault.open(subject, bytes(sealed), context=CONTEXT)


@pytest.mark.parametrize("length", [0, 5, 12, 20])
async def test_truncated_bytes_are_refused(vault: Vault, length: int) -> None:
    subject = await person(vault)
    sealed = await vault.seal(subject, SECRET, context=CONTEXT)
    with pytest.raises(PermanentTaskError, match="seal_broken"):
        await vault.open(subject, sealed[:length], context=CONTEXT)


async def test_another_context_is_refused(vault: Vault) -> None:
    subject = await person(vault)
    sealed = await vault.seal(subject, SECRET, context=CONTEXT)
    with pytest.raises(PermanentTaskError, match="seal_broken"):
        await vault.open(subject, sealed, context=b"switchyard/artefact/another/question")


async def test_another_persons_key_is_refused(vault: Vault) -> None:
    sealed = await vault.seal(await person(vault), SECRET, context=CONTEXT)
    with pytest.raises(PermanentTaskError, match="seal_broken"):
        await vault.open(await person(vault), sealed, context=CONTEXT)


async def test_an_erased_key_opens_nothing_once_the_cache_has_expired(
    vault: Vault, owner: Owner, clock: ManualClock
) -> None:
    subject = await person(vault)
    sealed = await vault.seal(subject, SECRET, context=CONTEXT)
    await owner.execute("delete from vault.subject_key where subject = $1", subject)
    clock.advance(CACHE_S - 1)
    assert await vault.open(subject, sealed, context=CONTEXT) == SECRET
    clock.advance(1)
    with pytest.raises(PermanentTaskError, match="key_erased"):
        await vault.open(subject, sealed, context=CONTEXT)
    with pytest.raises(PermanentTaskError, match="key_erased"):
        await vault.seal(subject, SECRET, context=CONTEXT)


async def test_a_person_met_again_after_erasure_is_somebody_new(vault: Vault, owner: Owner) -> None:
    name = f"user-{fresh_id()}"
    subject = await person(vault, name)
    await owner.execute("delete from vault.subject_key where subject = $1", subject)
    assert await person(vault, name) != subject


async def test_subject_pseudonym_is_one_across_concurrent_processes(
    vault: Vault, pool_for: PoolFor, wrapper: KeyWrapper, clock: ManualClock
) -> None:
    vaults = [vault, Vault(await pool_for("case_manager"), wrapper, clock)]
    name = f"user-{fresh_id()}"
    subjects = await asyncio.gather(*(person(vaults[index % 2], name) for index in range(20)))
    assert len(set(subjects)) == 1
    sealed = await vaults[0].seal(subjects[0], SECRET, context=CONTEXT)
    assert await vaults[1].open(subjects[0], sealed, context=CONTEXT) == SECRET


async def test_a_persons_name_is_nowhere_in_the_vault(vault: Vault, owner: Owner) -> None:
    name = f"user-{fresh_id()}"
    subject = await person(vault, name)
    row = await owner.fetchrow("select * from vault.subject_key where subject = $1", subject)
    assert row is not None
    stored = b"".join(value if isinstance(value, bytes) else str(value).encode() for value in row.values())
    assert name.encode() not in stored
    assert await vault.open(subject, row["external_id"], context=subject.encode()) == name.encode()


async def test_a_wrapped_key_that_was_swapped_for_another_persons_is_refused(vault: Vault, owner: Owner) -> None:
    mine, theirs = await person(vault), await person(vault)
    sealed = await vault.seal(theirs, SECRET, context=CONTEXT)
    await owner.execute(
        "update vault.subject_key set wrapped_key = (select wrapped_key from vault.subject_key where subject = $2)"
        " where subject = $1",
        mine,
        theirs,
    )
    with pytest.raises(PermanentTaskError, match="seal_broken"):
        await vault.open(mine, sealed, context=CONTEXT)


async def test_another_master_key_opens_nothing(vault: Vault, pool_for: PoolFor, clock: ManualClock) -> None:
    subject = await person(vault)
    sealed = await vault.seal(subject, SECRET, context=CONTEXT)
    stranger = Vault(await pool_for("case_manager"), LocalKeyWrapper(b"\x01" * 32), clock)
    with pytest.raises(PermanentTaskError, match="seal_broken"):
        await stranger.open(subject, sealed, context=CONTEXT)


async def test_kms_wraps_a_key_for_one_person_only(kms: Any) -> None:
    key_id = (await kms.create_key())["KeyMetadata"]["KeyId"]
    wrapper = KmsKeyWrapper(kms, key_id)
    wrapped = await wrapper.wrap(b"k" * 32, subject="ada")
    assert b"k" * 32 not in wrapped
    assert await wrapper.unwrap(wrapped, subject="ada") == b"k" * 32
    with pytest.raises(PermanentTaskError, match="seal_broken"):
        await wrapper.unwrap(wrapped, subject="grace")


async def test_kms_that_does_not_answer_as_it_should_is_no_fault_of_the_task(kms: Any) -> None:
    wrapper = KmsKeyWrapper(kms, fresh_id())
    with pytest.raises(Unavailable, match="key_management"):
        await wrapper.wrap(b"k" * 32, subject="ada")

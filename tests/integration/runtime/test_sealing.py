"""What is about a person is sealed under a key of their own; without the key it is noise."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiobotocore.session import AioSession
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from switchyard.runtime.core.errors import PermanentTaskError, RetryableTaskError, Unavailable
from switchyard.runtime.crypto.vault import CACHE_S, NONCE_BYTES, KeyWrapper, KmsKeyWrapper, LocalKeyWrapper, Vault
from tests.integration.conftest import PoolFor
from tests.integration.events import fresh_id, opened, scope_of
from tests.integration.infrastructure import Owner
from tests.integration.known_cases import known_cases
from tests.integration.manual_clock import ManualClock

pytestmark = pytest.mark.integration

SECRET = b"How deep is Zanzibar-4711?"
CASE: dict[str, Any] = {"case_id": "9b0c2a52-6c0e-4a6d-9f53-0d1f5a8d1c01", "name": "question"}


@pytest.fixture
def wrapper() -> KeyWrapper:
    return LocalKeyWrapper(bytes(32))


@pytest.fixture
async def vault(pool_for: PoolFor, wrapper: KeyWrapper, clock: ManualClock) -> Vault:
    """The case manager's vault: the one that makes keys."""
    return Vault(await pool_for("case_manager"), wrapper, clock, use="intake")


@pytest.fixture
async def kms(aws: None, aws_session: AioSession) -> AsyncIterator[Any]:
    async with aws_session.create_client("kms") as client:
        yield client


async def person(vault: Vault, name: str | None = None) -> str:
    """The pseudonym of somebody."""
    name = name or f"user-{fresh_id()}"
    return await vault.subject_for("acme", name, hashlib.sha256(name.encode()).digest())


@pytest.fixture
async def agents(pool_for: PoolFor, wrapper: KeyWrapper, clock: ManualClock) -> Vault:
    """The vault of an agent whose card decrypts questions."""
    return Vault(await pool_for("text_to_sql"), wrapper, clock)


def working_on(subject: str) -> dict[str, Any]:
    """A question of a case about a person, with a task of the agent."""
    case_id, cases = fresh_id(), known_cases()
    opening = opened(case_id, subject=subject)
    assert cases is not None
    cases.add_task("text_to_sql", case_id)
    return {"case_id": case_id, "name": "question", "scope": scope_of(opening)}


async def test_bytes_sealed_for_a_person_are_opened_by_an_agent(vault: Vault, agents: Vault) -> None:
    subject = await person(vault)
    asked = working_on(subject)
    sealed = await vault.seal(subject, SECRET, **asked)
    assert SECRET not in sealed
    assert await agents.open(subject, sealed, **asked) == SECRET


async def test_key_of_another_person_than_the_cases_is_refused(vault: Vault, agents: Vault) -> None:
    subject, asked = await person(vault), working_on(await person(vault))
    with pytest.raises(PermanentTaskError, match="not_the_cases"):
        await agents.open(subject, await vault.seal(subject, SECRET, **asked), **asked)


async def test_key_without_an_open_task_is_refused_and_can_be_retried(vault: Vault, agents: Vault) -> None:
    subject, case_id = await person(vault), fresh_id()
    scope = scope_of(opened(case_id, subject=subject))
    with pytest.raises(RetryableTaskError, match="no_open_task"):
        await agents.seal(subject, SECRET, case_id=case_id, name="question", scope=scope)


async def test_key_of_a_closed_or_cancelled_case_is_refused(vault: Vault, agents: Vault, owner: Owner) -> None:
    subject = await person(vault)
    closed, cancelled = working_on(subject), working_on(subject)
    sql = "insert into case_manager.case_ending (case_id, outcome, event_id) values ($1, 'expired', gen_random_uuid())"
    await owner.execute(sql, closed["case_id"])
    sql = "insert into case_manager.control (kind, key, by, why) values ('cancelled_case', $1, 'ada', 'why')"
    await owner.execute(sql, cancelled["case_id"])
    for over in (closed, cancelled):
        with pytest.raises(PermanentTaskError, match="case_over"):
            await agents.seal(subject, SECRET, **over)


async def test_key_for_an_artefact_outside_the_card_is_refused(vault: Vault, agents: Vault) -> None:
    subject = await person(vault)
    with pytest.raises(PermanentTaskError, match="not_on_card"):
        await agents.seal(subject, SECRET, **(working_on(subject) | {"name": "account"}))


async def test_key_for_a_playbook_without_a_task_of_the_agent_is_refused(vault: Vault, pool_for: PoolFor) -> None:
    subject = await person(vault)
    asked = working_on(subject) | {"name": "email"}
    cases = known_cases()
    assert cases is not None
    cases.add_task("email_sender", asked["case_id"])  # as a thief of its login could write
    thief = Vault(await pool_for("email_sender"), LocalKeyWrapper(bytes(32)), ManualClock())
    with pytest.raises(PermanentTaskError, match="not_on_card"):
        await thief.seal(subject, SECRET, **asked)


async def test_bytes_sealed_twice_differ(vault: Vault) -> None:
    subject = await person(vault)
    assert await vault.seal(subject, SECRET, **CASE) != await vault.seal(subject, SECRET, **CASE)


@pytest.mark.parametrize("position", [0, 11, 12, -1])
async def test_sealed_bytes_altered_are_refused(vault: Vault, position: int) -> None:
    subject = await person(vault)
    sealed = bytearray(await vault.seal(subject, SECRET, **CASE))
    sealed[position] ^= 1
    with pytest.raises(PermanentTaskError, match="seal_broken"):
        await vault.open(subject, bytes(sealed), **CASE)


@pytest.mark.parametrize("length", [0, 5, 12, 20])
async def test_sealed_bytes_truncated_are_refused(vault: Vault, length: int) -> None:
    subject = await person(vault)
    sealed = await vault.seal(subject, SECRET, **CASE)
    with pytest.raises(PermanentTaskError, match="seal_broken"):
        await vault.open(subject, sealed[:length], **CASE)


async def test_sealed_bytes_in_another_context_are_refused(vault: Vault) -> None:
    subject = await person(vault)
    sealed = await vault.seal(subject, SECRET, **CASE)
    with pytest.raises(PermanentTaskError, match="seal_broken"):
        await vault.open(subject, sealed, **(CASE | {"case_id": fresh_id()}))
    with pytest.raises(PermanentTaskError, match="seal_broken"):
        await vault.open(subject, sealed, **(CASE | {"name": "answer"}))


async def test_sealed_bytes_under_another_persons_key_are_refused(vault: Vault) -> None:
    sealed = await vault.seal(await person(vault), SECRET, **CASE)
    with pytest.raises(PermanentTaskError, match="seal_broken"):
        await vault.open(await person(vault), sealed, **CASE)


async def test_erased_key_opens_nothing_after_the_cache_expired(
    vault: Vault, agents: Vault, owner: Owner, clock: ManualClock
) -> None:
    subject = await person(vault)
    asked = working_on(subject)
    sealed = await agents.seal(subject, SECRET, **asked)
    await owner.execute("delete from vault.subject_key where subject = $1", subject)
    clock.advance(CACHE_S - 1)
    assert await agents.open(subject, sealed, **asked) == SECRET
    clock.advance(1)
    with pytest.raises(PermanentTaskError, match="key_erased"):
        await agents.open(subject, sealed, **asked)
    with pytest.raises(PermanentTaskError, match="key_erased"):
        await agents.seal(subject, SECRET, **asked)


async def test_intake_past_the_cache_time_fails_as_key_expired(vault: Vault, clock: ManualClock) -> None:
    subject = await person(vault)
    clock.advance(CACHE_S)
    with pytest.raises(Unavailable, match="key_expired"):
        await vault.seal(subject, SECRET, **CASE)


async def test_erased_person_seen_again_has_a_new_subject(vault: Vault, owner: Owner) -> None:
    name = f"user-{fresh_id()}"
    subject = await person(vault, name)
    await owner.execute("delete from vault.subject_key where subject = $1", subject)
    assert await person(vault, name) != subject


async def test_subject_pseudonym_is_one_across_concurrent_processes(
    vault: Vault, pool_for: PoolFor, wrapper: KeyWrapper, clock: ManualClock
) -> None:
    vaults = [vault, Vault(await pool_for("case_manager"), wrapper, clock, use="intake")]
    name = f"user-{fresh_id()}"
    subjects = await asyncio.gather(*(person(vaults[index % 2], name) for index in range(20)))
    assert len(set(subjects)) == 1
    sealed = await vaults[0].seal(subjects[0], SECRET, **CASE)
    assert await vaults[1].open(subjects[0], sealed, **CASE) == SECRET


async def test_vault_has_no_name_in_the_clear(vault: Vault, owner: Owner) -> None:
    name = f"user-{fresh_id()}"
    subject = await person(vault, name)
    row = await owner.fetchrow("select * from vault.subject_key where subject = $1", subject)
    assert row is not None
    stored = b"".join(value if isinstance(value, bytes) else str(value).encode() for value in row.values())
    assert name.encode() not in stored
    key = await LocalKeyWrapper(bytes(32)).unwrap(row["wrapped_key"], subject=subject)
    nonce, sealed = row["external_id"][:NONCE_BYTES], row["external_id"][NONCE_BYTES:]
    assert AESGCM(key).decrypt(nonce, sealed, subject.encode()) == name.encode()


async def test_wrapped_key_of_another_person_is_refused(vault: Vault, agents: Vault, owner: Owner) -> None:
    mine, theirs = await person(vault), await person(vault)
    asked = working_on(mine)
    sealed = await vault.seal(theirs, SECRET, **asked)
    await owner.execute(
        "update vault.subject_key set wrapped_key = (select wrapped_key from vault.subject_key where subject = $2)"
        " where subject = $1",
        mine,
        theirs,
    )
    with pytest.raises(PermanentTaskError, match="seal_broken"):
        await agents.open(mine, sealed, **asked)


async def test_master_key_of_another_deployment_opens_nothing(
    vault: Vault, pool_for: PoolFor, clock: ManualClock
) -> None:
    subject = await person(vault)
    asked = working_on(subject)
    sealed = await vault.seal(subject, SECRET, **asked)
    stranger = Vault(await pool_for("text_to_sql"), LocalKeyWrapper(b"\x01" * 32), clock)
    with pytest.raises(PermanentTaskError, match="seal_broken"):
        await stranger.open(subject, sealed, **asked)


async def test_kms_wraps_a_key_for_one_person_only(kms: Any) -> None:
    key_id = (await kms.create_key())["KeyMetadata"]["KeyId"]
    wrapper = KmsKeyWrapper(kms, key_id)
    wrapped = await wrapper.wrap(b"k" * 32, subject="ada")
    assert b"k" * 32 not in wrapped
    assert await wrapper.unwrap(wrapped, subject="ada") == b"k" * 32
    with pytest.raises(PermanentTaskError, match="seal_broken"):
        await wrapper.unwrap(wrapped, subject="grace")


async def test_kms_with_an_invalid_answer_is_unavailable(kms: Any) -> None:
    wrapper = KmsKeyWrapper(kms, fresh_id())
    with pytest.raises(Unavailable, match="key_management"):
        await wrapper.wrap(b"k" * 32, subject="ada")

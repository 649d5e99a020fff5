"""Results travel by hash: small ones in the event, large ones in S3, those about a person sealed."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest

from contracts.events.router import AnswerQuestion
from switchyard.devstack.stack.provision import OBJECT_BUCKET
from switchyard.protocol.fields import Artefact, StorageRef
from switchyard.protocol.received import ReceivedEvent
from switchyard.runtime.core.errors import PermanentTaskError, Unavailable
from switchyard.runtime.core.task import Task
from switchyard.runtime.crypto.vault import LocalKeyWrapper, Vault
from switchyard.runtime.database.session_scope import SessionScope
from switchyard.runtime.storage.artefacts import MAX_INLINE_BYTES, Artefacts
from switchyard.runtime.storage.objects import S3Objects
from tests.integration.cloud import Cloud
from tests.integration.conftest import PoolFor
from tests.integration.events import NODE, bus_body, command, fresh_id
from tests.integration.infrastructure import Infrastructure
from tests.integration.known_cases import Person, known_cases
from tests.integration.manual_clock import ManualClock
from tests.reference import read_event

pytestmark = pytest.mark.integration

SECRET = b"Ada Lovelace asked this"


@pytest.fixture
def subject(infrastructure: Infrastructure) -> str:
    return Person(bytes(32)).subject


@pytest.fixture
async def vault(pool_for: PoolFor, clock: ManualClock) -> Vault:
    return Vault(await pool_for(NODE), LocalKeyWrapper(bytes(32)), clock)


@pytest.fixture
def artefacts(cloud: Cloud, vault: Vault) -> Artefacts:
    """Those of an agent whose card opens questions and findings."""
    return Artefacts(S3Objects(cloud.s3, OBJECT_BUCKET), vault, decrypts=("question", "findings"))


def task_about(subject: str | None, case_id: str | None = None) -> Task[AnswerQuestion]:
    """A task of a case, which is about a person if there is a `subject`."""
    asked = command(case_id or fresh_id(), subject=subject)
    if subject is not None and (cases := known_cases()) is not None:
        cases.add_task(NODE, asked["case_id"])
    received = read_event(bus_body(asked), node=NODE)
    assert isinstance(received.payload, AnswerQuestion)
    return Task(ReceivedEvent(received.envelope, received.payload, received.raw), attempt=1, deadline=None)


def handed_on(task: Task[AnswerQuestion]) -> dict[str, StorageRef]:
    """The attachments of the next event of the case."""
    return {**task.storage_refs, **task.written_refs}


@pytest.mark.parametrize(
    ("size", "inline"), [(0, True), (MAX_INLINE_BYTES, True), (MAX_INLINE_BYTES + 1, False), (3_000_000, False)]
)
async def test_result_up_to_16_kb_is_inline_and_larger_in_s3(artefacts: Artefacts, size: int, inline: bool) -> None:
    task, data = task_about(None), b"x" * size
    artefact = await artefacts.write(task, "findings", data, media_type="text/csv")
    place = task.written_refs[artefact.sha256]
    assert (place.inline is not None, place.uri is None) == (inline, inline)
    assert (artefact.size, artefact.sha256) == (size, hashlib.sha256(data).hexdigest())
    assert await artefacts.read_from(handed_on(task), task.envelope.case_id, artefact) == data


async def test_result_about_a_person_is_stored_as_ciphertext_only(
    artefacts: Artefacts, subject: str, cloud: Cloud
) -> None:
    task = task_about(subject)
    small = await artefacts.write(task, "findings", SECRET, media_type="text/csv")
    large = await artefacts.write(task, "findings", SECRET * 1_000, media_type="text/csv")
    assert (small.subject, large.subject) == (subject, subject)
    inline, uri = task.written_refs[small.sha256].inline, task.written_refs[large.sha256].uri
    assert inline is not None
    assert uri is not None
    answer = await cloud.s3.get_object(Bucket=OBJECT_BUCKET, Key=uri.removeprefix(f"s3://{OBJECT_BUCKET}/"))
    async with answer["Body"] as body:
        stored = await body.read()
    assert SECRET not in base64.b64decode(inline)
    assert SECRET not in stored
    for artefact, plain in ((small, SECRET), (large, SECRET * 1_000)):
        assert (
            await artefacts.read_from(
                handed_on(task), task.envelope.case_id, artefact, scope=SessionScope.of(task.envelope)
            )
            == plain
        )


async def test_altered_inline_bytes_are_refused(artefacts: Artefacts) -> None:
    task = task_about(None)
    artefact = await artefacts.write(task, "findings", b"10 wells", media_type="text/csv")
    altered = {artefact.sha256: StorageRef(inline=base64.b64encode(b"99 wells").decode())}
    with pytest.raises(PermanentTaskError, match="artefact_altered"):
        await artefacts.read_from(altered, task.envelope.case_id, artefact)


async def test_altered_bytes_in_s3_are_refused(artefacts: Artefacts, cloud: Cloud) -> None:
    task = task_about(None)
    artefact = await artefacts.write(task, "findings", b"x" * 20_000, media_type="text/csv")
    key = str(task.written_refs[artefact.sha256].uri).removeprefix(f"s3://{OBJECT_BUCKET}/")
    await cloud.s3.put_object(Bucket=OBJECT_BUCKET, Key=key, Body=b"y" * 20_000)
    with pytest.raises(PermanentTaskError, match="artefact_altered"):
        await artefacts.read_from(handed_on(task), task.envelope.case_id, artefact)


async def test_sealed_artefact_of_another_case_is_refused(artefacts: Artefacts, subject: str) -> None:
    task = task_about(subject)
    artefact = await artefacts.write(task, "findings", SECRET, media_type="text/csv")
    other = task_about(subject)
    with pytest.raises(PermanentTaskError, match="seal_broken"):
        await artefacts.read_from(
            handed_on(task), other.envelope.case_id, artefact, scope=SessionScope.of(other.envelope)
        )


async def test_sealed_artefact_under_another_name_is_refused(artefacts: Artefacts, subject: str) -> None:
    task = task_about(subject)
    artefact = await artefacts.write(task, "findings", SECRET, media_type="text/csv")
    renamed = artefact.model_copy(update={"name": "question"})
    with pytest.raises(PermanentTaskError, match="seal_broken"):
        await artefacts.read_from(handed_on(task), task.envelope.case_id, renamed, scope=SessionScope.of(task.envelope))


async def test_sealed_artefact_outside_the_cards_decrypts_is_refused_by_name(
    artefacts: Artefacts, subject: str
) -> None:
    task = task_about(subject)
    artefact = Artefact(name="answer", sha256="0" * 64, size=1, media_type="text/plain", subject=subject)
    with pytest.raises(PermanentTaskError, match="card does not open answer"):
        await artefacts.read_from(handed_on(task), task.envelope.case_id, artefact)


async def test_bytes_sealed_for_another_person_than_the_cases_are_refused(
    artefacts: Artefacts, subject: str, clock: ManualClock
) -> None:
    task, stranger = task_about(subject), Person(bytes(32))
    with pytest.raises(PermanentTaskError, match="not_sealed"):
        await artefacts.read(task, task.payload.asked)  # inline, in the clear: anybody can write it
    foreign, place = stranger.artefact(task.envelope.case_id, "question", SECRET)
    task.written_refs[foreign.sha256] = place
    with pytest.raises(PermanentTaskError, match="not_sealed"):
        await artefacts.read(task, foreign)


async def test_artefact_without_a_storage_ref_is_refused(artefacts: Artefacts) -> None:
    task = task_about(None)
    missing = Artefact(name="findings", sha256="0" * 64, size=1, media_type="text/csv")
    with pytest.raises(PermanentTaskError, match="artefact_missing"):
        await artefacts.read(task, missing)


@pytest.mark.parametrize(
    ("uri", "code"),
    [(f"s3://{OBJECT_BUCKET}/artefacts/gone", "artefact_missing"), ("s3://elsewhere/x", "foreign_artefact")],
)
async def test_artefact_missing_or_in_another_bucket_is_refused(artefacts: Artefacts, uri: str, code: str) -> None:
    artefact = Artefact(name="findings", sha256="0" * 64, size=1, media_type="text/csv")
    with pytest.raises(PermanentTaskError, match=code):
        await artefacts.read_from({artefact.sha256: StorageRef(uri=uri)}, fresh_id(), artefact)


async def test_bucket_with_an_invalid_answer_makes_the_store_unavailable(cloud: Cloud) -> None:
    objects = S3Objects(cloud.s3, "no-such-bucket")
    with pytest.raises(Unavailable, match="object_store"):
        await objects.put("key", b"", content_type="text/plain")


async def test_question_inlined_in_the_command_is_read_by_its_hash(artefacts: Artefacts) -> None:
    task = task_about(None)
    text = await artefacts.read(task, task.payload.asked)
    assert hashlib.sha256(text).hexdigest() == task.payload.asked.sha256
    assert json.dumps(task.received.raw).count(task.payload.asked.sha256) == 2, "reference and place"

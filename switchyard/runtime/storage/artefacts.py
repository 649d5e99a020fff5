"""Results by hash: written inline up to 16 KB and to S3 above, sealed where they are about a person."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from typing import Protocol

from switchyard.protocol.envelope import Envelope
from switchyard.protocol.fields import Artefact, Contract, StorageRef
from switchyard.runtime.core.errors import PermanentTaskError
from switchyard.runtime.core.task import Task
from switchyard.runtime.database.session_scope import SessionScope
from switchyard.runtime.storage.objects import ObjectStore

MAX_INLINE_BYTES = 16_384
_CONTENT_TYPE = "application/octet-stream"


def _key(case_id: str, sha256: str) -> str:
    return f"artefacts/{case_id}/{sha256}"


class ArtefactCipher(Protocol):
    """What artefacts need of the vault."""

    async def seal(
        self, subject: str, plain: bytes, *, case_id: str, name: str, scope: SessionScope | None = None
    ) -> bytes:
        """Encrypt an artefact of a case under the subject's key."""

    async def open(
        self,
        subject: str,
        sealed: bytes,
        *,
        case_id: str,
        name: str,
        scope: SessionScope | None = None,
        key_of: str | None = None,
    ) -> bytes:
        """Decrypt. The key is that of the case's person, or of `key_of`'s, another case of theirs. Raises
        `PermanentTaskError` if the key was erased or the bytes were altered."""


async def move_inline(objects: ObjectStore, case_id: str, sha256: str, place: StorageRef) -> StorageRef:
    """The place of an artefact in the object store, where its bytes are moved if they travelled with the event. A place
    with other bytes, or with none that can be decoded, stays as it is: its reader refuses it."""
    if place.inline is None:
        return place
    try:
        data = base64.b64decode(place.inline, validate=True)
    except ValueError:
        return place
    if hashlib.sha256(data).hexdigest() != sha256:
        return place
    return StorageRef(uri=await objects.put(_key(case_id, sha256), data, content_type=_CONTENT_TYPE))


class Artefacts:
    """Reads what the command grants and writes what the handler found. `decrypts` are the names of the sealed artefacts
    that the agent's card allows; the vault's own grants are the boundary, this is the early and legible refusal."""

    def __init__(self, objects: ObjectStore, sealing: ArtefactCipher, *, decrypts: Iterable[str]) -> None:
        self._objects = objects
        self._sealing = sealing
        self._decrypts = frozenset(decrypts)

    async def read(self, task: Task[Contract], artefact: Artefact) -> bytes:
        """The plain bytes. Raises `PermanentTaskError` for a wrong hash, if the card may not decrypt it, or unless it
        is sealed for the person that the case is about: only a holder of that key can have written it."""
        return await self.read_placed(task, artefact, task.storage_refs)

    async def read_placed(self, task: Task[Contract], artefact: Artefact, places: Mapping[str, StorageRef]) -> bytes:
        """As `read`, of an artefact of the task's case whose place came with another event."""
        if artefact.subject != task.envelope.principal.subject:
            message = f"{artefact.name} is not sealed for the person that the case is about"
            raise PermanentTaskError("not_sealed", message, artefact.name, "treat it as an incident")
        envelope = task.envelope
        return await self.read_from(places, envelope.case_id, artefact, scope=SessionScope.of(envelope))

    async def read_from(
        self,
        places: Mapping[str, StorageRef],
        case_id: str,
        artefact: Artefact,
        *,
        scope: SessionScope | None = None,
        key_of: str | None = None,
    ) -> bytes:
        """The plain bytes of an artefact of `case_id`, given the attachments of any event that names it. An agent reads
        in the `scope` of its task; a reviewer has none. `key_of`: as `ArtefactCipher.open`."""
        if artefact.subject and artefact.name not in self._decrypts:
            remedy = "add it to the card, or do without"
            raise PermanentTaskError("not_opened", f"this agent's card does not open {artefact.name}", "opens", remedy)
        place = places.get(artefact.sha256)
        if place is None:
            raise PermanentTaskError(
                "artefact_missing", f"the event carries no place for its {artefact.name}", "storage_refs"
            )
        stored = await self._stored(place)
        if hashlib.sha256(stored).hexdigest() != artefact.sha256:
            raise PermanentTaskError(
                "artefact_altered", f"the bytes of {artefact.name} do not match their hash", "storage_refs"
            )
        if artefact.subject is None:
            return stored
        return await self._sealing.open(
            artefact.subject, stored, case_id=case_id, name=artefact.name, scope=scope, key_of=key_of
        )

    async def read_earlier(
        self, task: Task[Contract], artefact: Artefact, place: StorageRef, *, sealed_in: str
    ) -> bytes:
        """The plain bytes of an artefact that was sealed in an earlier case of the person whom the task is about. The
        task in hand gives the key: the earlier case may be over. Raises `PermanentTaskError` like `read`."""
        if artefact.subject is None or artefact.subject != task.envelope.principal.subject:
            message = f"{artefact.name} is not sealed for the person that the case is about"
            raise PermanentTaskError("not_sealed", message, artefact.name, "treat it as an incident")
        envelope = task.envelope
        return await self.read_from(
            {artefact.sha256: place},
            sealed_in,
            artefact,
            scope=SessionScope.of(envelope),
            key_of=envelope.case_id,
        )

    async def open_sealed(self, envelope: Envelope, name: str, sealed: bytes) -> bytes:
        """What intake sealed for a case under this name. Raises `PermanentTaskError` like `read`."""
        if envelope.principal.subject is None or name not in self._decrypts:
            raise PermanentTaskError("not_opened", f"this agent's card does not open {name}", "opens")
        scope = SessionScope.of(envelope)
        return await self._sealing.open(
            envelope.principal.subject, sealed, case_id=envelope.case_id, name=name, scope=scope
        )

    async def write(self, task: Task[Contract], name: str, data: bytes, *, media_type: str) -> Artefact:
        """Store a result, sealed under the key of the person that the case is about, if it is about one."""
        envelope = task.envelope
        artefact, place = await self.store(
            envelope.case_id,
            name,
            data,
            media_type=media_type,
            subject=envelope.principal.subject,
            scope=SessionScope.of(envelope),
        )
        task.written_refs[artefact.sha256] = place
        return artefact

    async def store(
        self,
        case_id: str,
        name: str,
        data: bytes,
        *,
        media_type: str,
        subject: str | None,
        scope: SessionScope | None = None,
    ) -> tuple[Artefact, StorageRef]:
        """Store bytes for a case and say where they are. An agent seals in the `scope` of its task; intake has none."""
        if subject is not None:
            data = await self._sealing.seal(subject, data, case_id=case_id, name=name, scope=scope)
        sha256 = hashlib.sha256(data).hexdigest()
        if len(data) <= MAX_INLINE_BYTES:
            place = StorageRef(inline=base64.b64encode(data).decode())
        else:
            place = StorageRef(uri=await self._objects.put(_key(case_id, sha256), data, content_type=_CONTENT_TYPE))
        return Artefact(name=name, sha256=sha256, size=len(data), media_type=media_type, subject=subject), place

    async def _stored(self, place: StorageRef) -> bytes:
        if place.inline is not None:
            try:
                return base64.b64decode(place.inline, validate=True)
            except ValueError as error:
                raise PermanentTaskError("artefact_altered", "an attachment is not base64", "storage_refs") from error
        if place.uri is None:
            raise PermanentTaskError("artefact_missing", "an attachment with neither bytes nor place", "storage_refs")
        return await self._objects.get(place.uri)

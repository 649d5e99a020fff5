"""Messages that a consumer or audit refused: listed with their cause and size, read with a reason that is recorded."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from switchyard.console.app import BadInput
from switchyard.console.tenants import Tenants
from switchyard.protocol.canonical import parse_foreign_json
from switchyard.protocol.catalogue import AUDIT
from switchyard.protocol.errors import InvalidEvent
from switchyard.runtime.core.errors import PermanentTaskError, Unavailable
from switchyard.runtime.database.connections import Database
from switchyard.runtime.database.queries import load_queries
from switchyard.runtime.storage.objects import ListedObject, S3Objects

_SQL = load_queries(__file__, "failures.sql")
_WORK_SQL = load_queries(__file__, "work.sql")
MAX_SHOWN = 30
MAX_LISTED = 1_000
"""Objects that are listed of one consumer: of a flood, those with the least hashes."""

HEAD_BYTES = 4_096
"""A record begins with its cause; the message comes last and may be large."""

MAX_MESSAGE_CHARS = 60_000
_SHA256 = re.compile(r"[0-9a-f]{64}")
_ALARM = re.compile(r"[1-9][0-9]{0,17}")
_RAW = b', "raw": '
"""No value in JSON can hold it: a quote in a text is escaped."""


@dataclass(frozen=True)
class RefusedMessage:
    """One message. `place` is the consumer that refused it, `key` its name there. `size` is that of what is stored:
    None where nothing of the message may be."""

    place: str
    key: str
    at: datetime
    kind: str
    why: str
    field: str | None
    remedy: str | None
    size: int | None
    sha256: str
    body: str | None = None
    cut: bool = False


@dataclass(frozen=True)
class Quarantine:
    """The latest messages in quarantine. `more`: not all are shown; `unavailable`: why none can be listed."""

    messages: Sequence[RefusedMessage]
    more: bool = False
    unavailable: str | None = None


@dataclass(frozen=True)
class RefusedReader:
    """Reads the bucket and audit's alarms. `nodes` are the consumers that have a quarantine."""

    objects: S3Objects
    audit: Database
    work: Database
    nodes: tuple[str, ...]

    async def latest(self, tenants: Tenants) -> Quarantine:
        """What consumers have in quarantine, the latest first: it belongs to no tenant. Never raises, because the page
        has other parts."""
        if tenants is not None:
            return Quarantine(())
        try:
            listed = await asyncio.gather(
                *(self.objects.list_first(f"quarantine/{node}/", MAX_LISTED) for node in self.nodes)
            )
            found = sorted((each for objects in listed for each in objects), key=lambda each: each.modified)[::-1]
            read = await asyncio.gather(*(self._head(each) for each in found[:MAX_SHOWN]))
        except Unavailable as error:
            return Quarantine((), unavailable=error.message)
        more = len(found) > MAX_SHOWN or any(len(objects) == MAX_LISTED for objects in listed)
        return Quarantine([each for each in read if each is not None], more)

    async def find(self, place: str, key: str) -> RefusedMessage:
        """One message without its bytes. Raises `BadInput` (404) for an unknown one, or `Unavailable`."""
        return await (self._alarm(key, body=False) if place == AUDIT else self._record(place, key, body=False))

    async def open(self, place: str, key: str, *, opened_by: str, reason: str) -> RefusedMessage:
        """The same with its bytes; who opens it and why is recorded first. Raises as `find` does."""
        found = await self.find(place, key)
        await self.work.with_queries(_WORK_SQL).execute(
            "record_disclosure", None, f"message/{place}", found.sha256, opened_by, reason
        )
        return await (self._alarm(key, body=True) if place == AUDIT else self._record(place, key, body=True))

    async def _head(self, listed: ListedObject) -> RefusedMessage | None:
        _, place, name = listed.key.split("/", 2)
        try:
            head = await self.objects.read(listed.key, first_bytes=HEAD_BYTES)
        except PermanentTaskError:
            return None  # its time was over
        return _message(place, name.removesuffix(".json"), head, listed)

    async def _record(self, place: str, key: str, *, body: bool) -> RefusedMessage:
        if place not in self.nodes or _SHA256.fullmatch(key) is None:
            raise _not_found()
        name = f"quarantine/{place}/{key}.json"
        listed = await self.objects.list_first(name, 1)
        if not listed or listed[0].key != name:
            raise _not_found()
        try:
            data = await self.objects.read(name, first_bytes=None if body else HEAD_BYTES)
        except PermanentTaskError:
            raise _not_found() from None
        return _message(place, key, data, listed[0], body=body)

    async def _alarm(self, key: str, *, body: bool) -> RefusedMessage:
        row = None
        if _ALARM.fullmatch(key):
            row = await self.audit.with_queries(_SQL).row("refused", int(key), body)
        if row is None:
            raise _not_found()
        text, cut = _cut(row["body"])
        return RefusedMessage(
            place=AUDIT,
            key=key,
            at=row["recorded_at"],
            kind=row["kind"],
            why=row["reason"],
            field=row["field"],
            remedy=None,
            size=row["size"],
            sha256=row["sha256"],
            body=text,
            cut=cut,
        )


def _message(place: str, key: str, data: bytes, listed: ListedObject, *, body: bool = False) -> RefusedMessage:
    """A record of the quarantine, or its beginning. Never raises: a record that cannot be read says so."""
    head, _, raw = data.partition(_RAW)
    record = _parsed(data if body else head + b"}")
    text, cut = _cut(record.get("raw")) if body else (None, False)
    return RefusedMessage(
        place=place,
        key=key,
        at=listed.modified,
        kind=str(record.get("reason", "unreadable")),
        why=str(record.get("message", "the record of this message cannot be read")),
        field=None if record.get("field") is None else str(record["field"]),
        remedy=None if record.get("remedy") is None else str(record["remedy"]),
        size=None if raw.startswith(b"null") else listed.size,
        sha256=key,
        body=text,
        cut=cut,
    )


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        found = parse_foreign_json(data)
    except InvalidEvent:
        return {}
    return found if isinstance(found, dict) else {}


def _cut(raw: Any) -> tuple[str | None, bool]:
    """A message as it is shown: indented if it is JSON, and not longer than a page takes."""
    if not isinstance(raw, str):
        return None, False
    try:
        text = json.dumps(parse_foreign_json(raw), indent=2, ensure_ascii=False)
    except (InvalidEvent, ValueError):
        text = raw
    return text[:MAX_MESSAGE_CHARS], len(text) > MAX_MESSAGE_CHARS


def _not_found() -> BadInput:
    return BadInput("there is no such message: its time in quarantine may be over", 404)

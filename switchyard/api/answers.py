"""What a case answered, opened for the person who asked it, or for a role that may read every answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from switchyard.api.callers import Caller
from switchyard.api.cases import CaseEvents, read_payload
from switchyard.api.problems import Gone, NotFound
from switchyard.api.views import ArtefactView
from switchyard.protocol.canonical import parse_foreign_json
from switchyard.protocol.errors import InvalidEvent
from switchyard.protocol.fields import Artefact, StorageRef
from switchyard.runtime.core.clock import Clock
from switchyard.runtime.core.errors import TaskError, Unavailable
from switchyard.runtime.crypto.vault import KeyWrapper, Vault
from switchyard.runtime.database.connections import Database, Pool
from switchyard.runtime.database.queries import load_queries
from switchyard.runtime.storage.artefacts import Artefacts
from switchyard.runtime.storage.objects import ObjectStore

_SQL = load_queries(__file__, "cases.sql")


@dataclass(frozen=True)
class Answers:
    """Opens artefacts of cases. `opens` are the names of those that callers get."""

    audit: Database
    work: Database
    work_pool: Pool
    objects: ObjectStore
    keys: KeyWrapper
    clock: Clock
    opens: frozenset[str]

    def results(self, case_id: UUID, events: CaseEvents) -> list[ArtefactView]:
        """What may be fetched, each once."""
        found = {each.sha256: each for row in events.rows for each in self._named(read_payload(row))}
        return [
            ArtefactView(
                name=each.name,
                media_type=each.media_type,
                sha256=each.sha256,
                url=f"/v1/cases/{case_id}/artefacts/{each.sha256}",
            )
            for each in found.values()
        ]

    def find(self, events: CaseEvents, sha256: str) -> Artefact:
        """One of them. Raises `NotFound`."""
        for row in events.rows:
            for each in self._named(read_payload(row)):
                if each.sha256 == sha256:
                    return each
        raise NotFound("the case has no such result", field="sha256", remedy="use one of the case's `artefacts`")

    async def open(self, caller: Caller, case_id: UUID, artefact: Artefact, *, own: bool) -> bytes:
        """The plain bytes. Raises `Gone` if they were erased or retired, and `Unavailable`."""
        if not own:
            await self.work.with_queries(_SQL).execute(
                "record_disclosure", case_id, artefact.name, artefact.sha256, caller.user.user_id
            )
        place = await self.audit.with_queries(_SQL).value("place", case_id, artefact.sha256)
        vault = Vault(
            self.work_pool, self.keys, self.clock, use="answer" if own else "review", person=caller.fingerprint
        )
        artefacts = Artefacts(self.objects, vault, decrypts=self.opens)
        try:
            places = {} if place is None else {artefact.sha256: StorageRef.model_validate_json(place)}
            return await artefacts.read_from(places, str(case_id), artefact)
        except Unavailable:
            raise
        except (TaskError, ValidationError) as error:
            code = error.code if isinstance(error, TaskError) else "artefact_altered"
            raise Gone(
                f"{artefact.name} cannot be opened ({code})",
                field="sha256",
                remedy="tell the operator, with the case_id",
            ) from error

    async def answer(self, caller: Caller, case_id: UUID, ending: Any, *, own: bool) -> Any:
        """The answer that an ending names, as a JSON value; text if it is no JSON; None without one. Raises like
        `open`."""
        artefact = _read_artefact(read_payload(ending).get("answer"))
        if artefact is None:
            return None
        data = await self.open(caller, case_id, artefact, own=own)
        try:
            return parse_foreign_json(data)
        except InvalidEvent:
            return data.decode("utf-8", "replace")

    def _named(self, payload: Mapping[str, Any]) -> list[Artefact]:
        """The artefacts in a payload that callers get, at any depth, in order."""
        found, pending = list[Artefact](), list[Any]([payload])
        while pending:
            each = pending.pop()
            if isinstance(each, dict):
                artefact = _read_artefact(each)
                if artefact is not None and artefact.name in self.opens:
                    found.append(artefact)
                pending += [inner for inner in reversed(each.values()) if isinstance(inner, dict | list)]
            elif isinstance(each, list):
                pending += reversed(each)
        return found


def _read_artefact(value: Any) -> Artefact | None:
    if not isinstance(value, dict) or "sha256" not in value:
        return None
    try:
        return Artefact.model_validate_json(json.dumps(value))
    except ValidationError:
        return None

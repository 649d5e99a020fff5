"""What is remembered of a caller, opened for them alone, and what became of their requests to forget it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from switchyard.api.callers import Caller
from switchyard.api.cases import LIST_TIMEOUT_S, CallerCases
from switchyard.api.problems import NotFound
from switchyard.api.views import ForgettingView, MemoryDetailView, MemoryListView, MemoryUseView, MemoryView
from switchyard.protocol.fields import Artefact, StorageRef
from switchyard.runtime.core.clock import timestamp
from switchyard.runtime.core.errors import TaskError, Unavailable
from switchyard.runtime.crypto.vault import KeyWrapper, Vault
from switchyard.runtime.database.connections import Database, Pool
from switchyard.runtime.database.queries import Queries, load_queries
from switchyard.runtime.storage.artefacts import Artefacts
from switchyard.runtime.storage.objects import ObjectStore

_SQL = load_queries(__file__)
MOST_LISTED = 500


@dataclass(frozen=True)
class CallerMemory:
    """Reads what is remembered. `schema` of the work database has the functions `remembered_by` and `sealed_memory_by`,
    which find a person by the fingerprint of their name only. `opened`: the names of the artefacts that it keeps."""

    schema: str
    opened: tuple[str, ...]
    cases: CallerCases
    work_pool: Pool
    objects: ObjectStore
    keys: KeyWrapper
    _queries: Queries = field(init=False)

    def __post_init__(self) -> None:
        known = f"from {self.schema}.remembered_by($1, $2) where expires_at > $3"
        shown = "id::text, kind, predicate, case_id::text, trust, quarantined, uses, kept_at, expires_at"
        others = {
            "list": f"select {shown}, count(*) over () as total {known} order by kept_at desc, id limit {MOST_LISTED}",
            "one": f"select {shown} {known} and id = $4",
            "sealed": f"select part, case_id::text, sealed from {self.schema}.sealed_memory_by($1, $2, $3)",  # noqa: S608 - the App names the schema
        }
        object.__setattr__(self, "_queries", Queries(others=others))

    async def list(self, caller: Caller) -> MemoryListView:
        """What is remembered, the latest first, without what it says. Raises `Unavailable`."""
        rows = await self._work(self._queries).rows(
            "list", caller.user.tenant, caller.fingerprint, self.cases.clock.now()
        )
        return MemoryListView(memories=[_view(row) for row in rows], total=rows[0]["total"] if rows else 0)

    async def find(self, caller: Caller, memory_id: UUID) -> MemoryDetailView:
        """One memory with what it says, and the cases that it was used in. Raises `NotFound` for one that is not there,
        is forgotten or is another person's, and `Unavailable`."""
        row = await self._work(self._queries).row(
            "one", caller.user.tenant, caller.fingerprint, self.cases.clock.now(), memory_id
        )
        subject = await self.cases.subject(caller)
        if row is None or subject is None:
            raise no_such_memory()
        parts, problem = await self._open(caller, memory_id)
        uses = await self.cases.audit.with_queries(_SQL).rows(
            "used_in", subject, caller.user.tenant, str(memory_id), row["kept_at"], timeout_s=LIST_TIMEOUT_S
        )
        return MemoryDetailView(
            **_view(row).model_dump(),
            text=parts.get("value"),
            parts={name: _text(part) for name, part in parts.items() if name != "value"},
            problem=problem,
            used_in=[MemoryUseView(case_id=each["case_id"], at=timestamp(each["event_ts"])) for each in uses],
        )

    async def forgetting(self, caller: Caller, request_id: UUID) -> ForgettingView:
        """A request of the caller's. Raises `NotFound` for another person's, and `Unavailable`."""
        row = await self._work(_SQL).row("forgetting", caller.user.tenant, caller.fingerprint, request_id)
        if row is None:
            raise no_such_request()
        done = row["done_at"]
        return ForgettingView(
            request_id=str(request_id),
            scope=row["scope"],
            memory=row["memory"],
            status="open" if done is None else "done",
            asked_at=timestamp(row["signed_at"]),
            done_at=None if done is None else timestamp(done),
            forgotten=row["forgotten"],
        )

    def _work(self, queries: Queries) -> Database:
        return self.cases.work.with_queries(queries)

    async def _open(self, caller: Caller, memory_id: UUID) -> tuple[Mapping[str, str], str | None]:
        """The texts by part, and why one cannot be read, if so."""
        vault = Vault(self.work_pool, self.keys, self.cases.clock, use="answer", person=caller.fingerprint)
        artefacts = Artefacts(self.objects, vault, decrypts=self.opened)
        parts: dict[str, str] = {}
        for row in await self._work(self._queries).rows("sealed", caller.user.tenant, caller.fingerprint, memory_id):
            try:
                sealed = json.loads(row["sealed"])
                artefact = Artefact.model_validate_json(json.dumps(sealed["artefact"]))
                places = {artefact.sha256: StorageRef.model_validate_json(json.dumps(sealed["place"]))}
                parts[row["part"]] = (await artefacts.read_from(places, row["case_id"], artefact)).decode(
                    "utf-8", "replace"
                )
            except Unavailable:
                raise
            except (TaskError, ValidationError, ValueError, KeyError, TypeError) as error:
                code = error.code if isinstance(error, TaskError) else "artefact_altered"
                return {}, f"it cannot be opened ({code}): it was not said through this API, or was erased"
        return parts, None


def no_such_memory() -> NotFound:
    """The answer for a memory that is not there, or not the caller's."""
    return NotFound("there is no such memory of yours", field="memory_id", remedy="use an id that GET /v1/memory lists")


def no_such_request() -> NotFound:
    """The answer for a request that is not there, or not the caller's."""
    remedy = "use the request_id that POST /v1/forgettings answered; a new one can be read after some seconds"
    return NotFound("there is no such request of yours", field="request_id", remedy=remedy)


def _view(row: Any) -> MemoryView:
    return MemoryView(
        id=row["id"],
        kind=row["kind"],
        about=row["predicate"],
        case_id=row["case_id"],
        kept_at=timestamp(row["kept_at"]),
        expires_at=timestamp(row["expires_at"]),
        trust=row["trust"],
        quarantined=row["quarantined"],
        uses=row["uses"],
    )


def _text(part: str) -> str:
    """The text of a document that has one, and any other part as it is."""
    try:
        return str(json.loads(part)["text"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return part

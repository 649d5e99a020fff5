"""A what-if of Text-to-SQL asks no warehouse: the recorded query has its recorded rows, another one is not known."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic_ai.models.function import FunctionModel

from contracts.events.router import AnswerQuestion
from contracts.events.specialists import FindingsReady
from services.specialists.text_to_sql.findings import SqlFindings
from services.specialists.text_to_sql.guard import guard_query
from services.specialists.text_to_sql.schema import Schema
from services.specialists.text_to_sql.what_if import SCHEMA_VARIABLE, build_what_if
from switchyard.audit.what_if.agents import FixedClock, NotAnswerable, ScratchArtefacts, UnaskedModel, WhatIfSetup
from switchyard.protocol.fields import Artefact, Json, StorageRef
from switchyard.protocol.received import ReceivedEvent
from switchyard.runtime.core.clock import moment
from switchyard.runtime.core.errors import PermanentTaskError
from switchyard.runtime.core.task import Task
from switchyard.runtime.storage.artefacts import Artefacts
from tests.unit.router import cases
from tests.unit.text_to_sql.test_agent import COUNT, Script, final, tool

QUESTION = b"How many wells do we have?"
ASKED = Artefact(
    name="question", sha256=hashlib.sha256(QUESTION).hexdigest(), size=len(QUESTION), media_type="text/plain"
)


class Unused:
    """No vault and no object store is needed: everything here is inline and about no user."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} was used")


class Unlimited(FunctionModel):
    """A model without a policy, as far as a handler sees."""

    @contextmanager
    def budget(self, *_: object, **__: object) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(decisions=[])


def recorded(schema: Schema, **changes: Any) -> bytes:
    sql = guard_query(COUNT, schema, max_rows=77).sql
    fields: dict[str, Any] = {
        "outcome": "rows", "summary": "WELLS 240.", "rows": ((240,),), "row_count": 1, "sql": sql,
        "schema_version": schema.version,
    }  # fmt: skip
    return SqlFindings(**fields | changes).model_dump_json().encode()


def command() -> Task[AnswerQuestion]:
    place = StorageRef(inline=base64.b64encode(QUESTION).decode())
    event: Json = cases.ANSWER_QUESTION
    from tests.integration.events import envelope_of

    envelope = envelope_of(event).model_copy(update={"storage_refs": {ASKED.sha256: place}})
    return Task(ReceivedEvent(envelope, AnswerQuestion(question=ASKED), event), attempt=1, deadline=None)


async def ask(found: bytes | None, *steps: Any) -> tuple[FindingsReady, bytes]:
    """The answer in a what-if with this model, and the findings that it refers to."""
    scratch = ScratchArtefacts(Artefacts(Unused(), Unused(), decrypts=()))

    async def recall(name: str) -> bytes | None:
        return found if name == "findings" else None

    model: Any = Unlimited(Script(*steps)) if steps else UnaskedModel()
    setup = WhatIfSetup(scratch, model, {}, None, FixedClock(moment("2026-07-01T12:00:00.000000Z")), recall)
    task = command()
    handler = (await build_what_if(setup))[AnswerQuestion]
    result = await handler(task)
    payload = getattr(result, "payload", result)
    assert isinstance(payload, FindingsReady)
    return payload, await scratch.read(task, payload.findings[0])


async def test_query_of_then_has_its_recorded_rows_whatever_its_limit(schema: Schema) -> None:
    data = recorded(schema)
    answer, findings = await ask(data, final(COUNT))
    assert (answer.rows, findings) == (1, data)


async def test_other_query_is_unknown_and_its_text_is_left_out(schema: Schema) -> None:
    with pytest.raises(NotAnswerable, match="another query") as unknown:
        await ask(recorded(schema), final("SELECT COUNT(*) AS wells FROM wells WHERE basin = 'Permian'"))
    assert "Permian" not in str(unknown.value)


async def test_query_where_none_was_recorded_is_unknown() -> None:
    with pytest.raises(NotAnswerable, match="another query"):
        await ask(None, final(COUNT))


async def test_model_that_cannot_answer_fails_as_the_agent_does(schema: Schema) -> None:
    with pytest.raises(PermanentTaskError, match="cannot_answer"):
        await ask(recorded(schema), tool("final_result_CannotAnswer", reason="no table has it"))


async def test_schema_that_has_changed_since_is_reported_as_gone(schema: Schema) -> None:
    with pytest.raises(NotAnswerable, match=f"gone: the schema of then, version 0{'0' * 11}; here is {schema.version}"):
        await ask(recorded(schema, schema_version="0" * 12), final(COUNT))


async def test_schema_file_that_is_missing_is_named(
    schema: Schema, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SCHEMA_VARIABLE, str(tmp_path / "none.toml"))
    with pytest.raises(NotAnswerable, match=SCHEMA_VARIABLE):
        await ask(recorded(schema), final(COUNT))


async def test_replay_without_a_model_has_no_result(schema: Schema) -> None:
    with pytest.raises(NotAnswerable, match="--model"):
        await ask(recorded(schema))


async def test_recorded_findings_of_another_form_are_unknown() -> None:
    with pytest.raises(NotAnswerable, match="another form"):
        await ask(b"{}", final(COUNT))

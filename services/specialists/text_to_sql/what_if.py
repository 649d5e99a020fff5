"""Text-to-SQL in a what-if: would another model write the query of then? The warehouse is not asked: rows of another
query are not on record."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from contracts.events.router import AnswerQuestion
from contracts.events.specialists import FindingsReady
from services.specialists.questions import read_memory, read_question
from services.specialists.text_to_sql.agent import SQL_PROMPT_VERSION, build_sql_agent, propose_query
from services.specialists.text_to_sql.findings import SqlFindings
from services.specialists.text_to_sql.schema import DEFAULT_SCHEMA, SchemaError, load_schema
from services.specialists.text_to_sql.warehouse import QueryLimits
from switchyard.app.application import load_app, resource_path
from switchyard.audit.what_if.agents import NotAnswerable, WhatIfAgent, WhatIfSetup
from switchyard.runtime.core.errors import PermanentTaskError
from switchyard.runtime.core.task import Task, TaskHandler, TaskResult
from switchyard.runtime.models.clients import model_budget, model_call

if TYPE_CHECKING:
    from services.specialists.text_to_sql.guarded_query import GuardedQuery
    from services.specialists.text_to_sql.schema import Schema

SCHEMA_VARIABLE = "SWITCHYARD_WAREHOUSE_SCHEMA"
_LIMIT = re.compile(r" LIMIT \d+$")


async def build_what_if(setup: WhatIfSetup) -> Mapping[type[Any], TaskHandler]:
    """The handler. Raises `NotAnswerable` without a model, and without the schema of then."""
    if not setup.asks:
        raise NotAnswerable("text_to_sql writes no query without a model: name one with --model")
    found = await setup.recall("findings")
    try:
        recorded = None if found is None else SqlFindings.model_validate_json(found)
    except ValidationError as error:
        raise NotAnswerable("its recorded findings are of another form than today's") from error
    try:
        schema = load_schema(schema_file())
    except SchemaError as error:
        raise NotAnswerable(f"the schema file cannot be read: name it in {SCHEMA_VARIABLE}") from error
    if recorded is not None and recorded.schema_version != schema.version:
        raise NotAnswerable(f"gone: the schema of then, version {recorded.schema_version}; here is {schema.version}")
    return {AnswerQuestion: partial(answer_again, setup=setup, schema=schema, recorded=recorded, data=found)}


def schema_file() -> Path:
    """The schema that is named, else the agent's own, else that of the local stack's data."""
    if own := os.environ.get(SCHEMA_VARIABLE):
        return Path(own)
    data = load_app().local_data.get("warehouse")
    return DEFAULT_SCHEMA if data is None or DEFAULT_SCHEMA.exists() else resource_path(data) / "schema.toml"


async def answer_again(
    task: Task[AnswerQuestion],
    *,
    setup: WhatIfSetup,
    schema: Schema,
    recorded: SqlFindings | None,
    data: bytes | None,
) -> TaskResult:
    """The recorded findings, if the query is the recorded one. Raises `NotAnswerable` for another query, and what
    `propose_query` raises."""
    from services.specialists.text_to_sql.guard import guard_query

    async def check(sql: str, rows: int) -> GuardedQuery:
        return guard_query(sql, schema, max_rows=rows)

    question, memory = await read_question(task, setup.artefacts), await read_memory(task, setup.artefacts)
    agent = build_sql_agent(setup.model, schema)
    async with model_budget(setup.model, task, margin_ms=0) as decisions:
        proposal = await propose_query(question, agent=agent, check=check, limits=QueryLimits(), memory=memory)
    if proposal.query is None:
        raise PermanentTaskError("cannot_answer", "the warehouse does not hold what the question asks for", "question")
    if recorded is None or data is None or _unlimited(proposal.query.sql) != _unlimited(recorded.sql or ""):
        raise NotAnswerable("it would run another query than the recorded one: its rows are not on record")
    kept = await setup.artefacts.write(task, "findings", data, media_type="application/json")
    return TaskResult(
        FindingsReady(
            findings=(kept,), rows=recorded.row_count, truncated=recorded.truncated, verified=recorded.verified
        ),
        model_call=model_call(decisions, prompt_version=SQL_PROMPT_VERSION),
    )


def _unlimited(sql: str) -> str:
    """The limit is the deployment's, and not the model's."""
    return _LIMIT.sub("", sql)


WHAT_IF = WhatIfAgent(build_what_if)

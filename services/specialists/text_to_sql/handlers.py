"""Handles a question to the warehouse: one guarded query in the asking user's role."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from contracts.events.router import AnswerQuestion
from contracts.events.specialists import FindingsReady
from latency_failover import FailoverModel
from services.specialists.questions import read_memory, read_question
from services.specialists.text_to_sql.agent import SQL_PROMPT_VERSION, AgentRun, CannotAnswer, SqlAnswer, query_answer
from services.specialists.text_to_sql.budget import WarehouseBudget
from services.specialists.text_to_sql.guard_process import CheckQuery
from services.specialists.text_to_sql.schema import Schema
from services.specialists.text_to_sql.verified import ReviewedQueries
from services.specialists.text_to_sql.warehouse import QueryLimits, SnowflakeWarehouse, WarehouseEndpoint
from switchyard.identity.client import ConsentRequired, TokenSource
from switchyard.protocol.events.failures import ReauthNeeded
from switchyard.protocol.fields import ROLE_SCOPE
from switchyard.runtime.core.errors import PermanentTaskError
from switchyard.runtime.core.task import Task, TaskResult
from switchyard.runtime.database.session_scope import SessionScope
from switchyard.runtime.models.clients import model_budget, model_call
from switchyard.runtime.storage.artefacts import Artefacts

if TYPE_CHECKING:
    from pydantic_ai import Agent

TEXT_TO_SQL_MARGIN_MS = 2_000
SESSION_ROLE = "session:role:"
"""Snowflake's scope for one role."""


async def answer_question(
    task: Task[AnswerQuestion],
    *,
    artefacts: Artefacts,
    model: FailoverModel,
    agent: Agent[AgentRun, SqlAnswer | CannotAnswer],
    check: CheckQuery,
    endpoint: WarehouseEndpoint,
    identity: TokenSource,
    audience: str,
    schema: Schema,
    limits: QueryLimits,
    budget: WarehouseBudget,
    verified: ReviewedQueries | None = None,
) -> TaskResult:
    """Find the rows that answer the question, as the asking user; the SQL is their citation. `audience` is the
    warehouse, as users' tokens name it."""
    role = role_of(task.envelope.principal.scopes)
    ask = partial(identity.token, task, audience=audience, scopes=(SESSION_ROLE + role,))
    try:
        token = await ask()
        question = await read_question(task, artefacts)
        async with model_budget(model, task, margin_ms=TEXT_TO_SQL_MARGIN_MS) as decisions:
            findings = await query_answer(
                question,
                agent=agent,
                check=check,
                warehouse=SnowflakeWarehouse(endpoint, token, renew=partial(ask, instead_of=token)),
                schema=schema,
                case_id=task.envelope.case_id,
                role=role,
                memory=await read_memory(task, artefacts),
                limits=limits,
                budget=budget.of(SessionScope.of(task.envelope)),
                verified=verified,
            )
    except ConsentRequired as required:
        return TaskResult(ReauthNeeded(audience=required.audience))
    if findings.outcome == "cannot_answer":
        # The model's reason may repeat the question, so it does not go into an event.
        message = "the warehouse does not hold what the question asks for"
        remedy = f"ask about what it holds: {schema.subjects()}"
        raise PermanentTaskError("cannot_answer", message, "question", remedy)
    found = await artefacts.write(task, "findings", findings.model_dump_json().encode(), media_type="application/json")
    return TaskResult(
        FindingsReady(
            findings=(found,), rows=findings.row_count, truncated=findings.truncated, verified=findings.verified
        ),
        model_call=model_call(decisions, prompt_version=SQL_PROMPT_VERSION),
    )


def role_of(scopes: tuple[str, ...]) -> str:
    """The warehouse role of the asking user. Raises `PermanentTaskError` if it is missing: there is no default role."""
    roles = [scope.removeprefix(ROLE_SCOPE) for scope in scopes if scope.startswith(ROLE_SCOPE)]
    if len(roles) != 1:
        message = "the submission does not name a warehouse role"
        remedy = "submit the question with the asking user's role"
        raise PermanentTaskError("no_warehouse_role", message, "role", remedy)
    return roles[0]

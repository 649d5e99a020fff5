"""The Text-to-SQL agent: prompt, output model, tools, factory, and the path from a question to findings."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field
from pydantic_ai import Agent, ModelRetry, RunContext, UnexpectedModelBehavior, UsageLimitExceeded, UsageLimits
from pydantic_ai.models import Model

from services.specialists.text_to_sql.budget import UserBudget
from services.specialists.text_to_sql.findings import SqlFindings, build_findings, build_unanswerable
from services.specialists.text_to_sql.guard_process import CheckQuery
from services.specialists.text_to_sql.guarded_query import GuardedQuery
from services.specialists.text_to_sql.schema import Schema
from services.specialists.text_to_sql.unsafe_query import UnsafeQuery
from services.specialists.text_to_sql.verified import ReviewedQueries, VerifiedQuery, prompted_queries
from services.specialists.text_to_sql.warehouse import QueryLimits, SnowflakeWarehouse
from switchyard.runtime.core.errors import PermanentTaskError, RetryableTaskError

SQL_PROMPT = (Path(__file__).parent / "prompts" / "answer.md").read_text(encoding="utf-8")
SQL_PROMPT_VERSION = f"answer/{hashlib.sha256(SQL_PROMPT.encode()).hexdigest()[:12]}"
MAX_CORRECTIONS = 2
"""How often a rejected query is sent back to the model."""
MAX_REQUESTS = 14
"""Model requests per question: describing five tables, some checks, the answer and two corrections."""


class SqlAnswer(BaseModel):
    """The query that answers the question."""

    sql: str = Field(description="One Snowflake SELECT, as check_sql accepted it.")
    explanation: str = Field(description="One sentence: what the query computes.", max_length=600)
    verified: str | None = Field(default=None, description="The id in <verified> of the query that it follows, if any.")


class CannotAnswer(BaseModel):
    """The warehouse does not hold the answer, or the question asks for more than reading."""

    reason: str = Field(description="One sentence: why.", max_length=600)


@dataclass(slots=True)
class AgentRun:
    """The state of one run of the agent."""

    check: CheckQuery
    limits: QueryLimits = field(default_factory=QueryLimits)
    offered: frozenset[str] = frozenset()
    """Ids of the verified queries that the prompt shows."""
    rejected: list[UnsafeQuery] = field(default_factory=list)
    """Rejected answers. Rejections by `check_sql` do not count."""


def build_sql_agent(model: Model[Any], schema: Schema) -> Agent[AgentRun, SqlAnswer | CannotAnswer]:
    """The agent on this model, for one schema."""
    agent: Agent[AgentRun, SqlAnswer | CannotAnswer] = Agent(
        model,
        deps_type=AgentRun,
        output_type=[SqlAnswer, CannotAnswer],
        name="text_to_sql",
        instructions=_instructions(schema),
        retries={"tools": MAX_CORRECTIONS, "output": MAX_CORRECTIONS},
    )

    @agent.tool_plain
    def list_tables() -> str:
        """The tables that may be read, one per line."""
        return schema.described()

    @agent.tool_plain
    def describe_table(name: str) -> str:
        """A table's columns with types, units, meanings and values."""
        table = schema.tables.get(name.upper())
        if table is None:
            raise ModelRetry(f"There is no table of that name. There are: {', '.join(schema.tables)}.")
        return table.described(name.upper())

    @agent.tool
    async def check_sql(context: RunContext[AgentRun], sql: str) -> str:
        """Whether a query may run, and how it will; if it may not, what is refused and what to do instead."""
        try:
            accepted = await context.deps.check(sql, context.deps.limits.max_rows)
        except UnsafeQuery as error:
            return _format_unsafe_query(error)
        return f"Accepted. This will run:\n<sql>{accepted.sql}</sql>"

    @agent.output_validator
    async def may_run(context: RunContext[AgentRun], output: SqlAnswer | CannotAnswer) -> SqlAnswer | CannotAnswer:
        if isinstance(output, SqlAnswer):
            if output.verified is not None and output.verified not in context.deps.offered:
                raise ModelRetry("`verified` is no id in <verified>: leave it out.")
            try:
                await context.deps.check(output.sql, context.deps.limits.max_rows)
            except UnsafeQuery as error:
                context.deps.rejected.append(error)
                raise ModelRetry(_format_unsafe_query(error)) from error
        return output

    return agent


@dataclass(frozen=True, slots=True)
class QueryProposal:
    """The agent's result: a query that may run, or the reason why there is no query."""

    query: GuardedQuery | None
    explanation: str
    refused: int = 0
    """How many answers the guard rejected before."""
    verified: VerifiedQuery | None = None
    """The verified query that it follows, by the model's word."""


async def propose_query(
    question: str,
    *,
    agent: Agent[AgentRun, SqlAnswer | CannotAnswer],
    check: CheckQuery,
    limits: QueryLimits,
    memory: str = "",
    verified: ReviewedQueries | None = None,
) -> QueryProposal:
    """Ask the agent for a query. `memory` is what was said before, as text for the prompt; of `verified` the model sees
    those of like questions.

    Raises `PermanentTaskError` if every query is rejected, `RetryableTaskError` for an unusable answer.
    """
    if not question.strip():
        raise PermanentTaskError("empty_question", "the question is empty", "question", "ask something")
    offered = {each.id: each for each in verified.offered(question)} if verified else {}
    run = AgentRun(check, limits, frozenset(offered))
    prompt = f"<question>{question.replace('<', '&lt;')}</question>{memory}{prompted_queries(tuple(offered.values()))}"
    usage = UsageLimits(request_limit=MAX_REQUESTS)
    try:
        output = (await agent.run(prompt, deps=run, usage_limits=usage)).output
    except UsageLimitExceeded as error:
        message = f"the model found no query in {MAX_REQUESTS} requests"
        raise PermanentTaskError("too_many_steps", message, remedy="ask a simpler question") from error
    except UnexpectedModelBehavior as error:
        if len(run.rejected) <= MAX_CORRECTIONS:
            remedy = "see the prompt and the text_to_sql evals"
            raise RetryableTaskError("bad_answer", "the model gave no usable answer", remedy=remedy) from error
        # Only the code: the rejected text may repeat the question, and this goes into an event.
        message = f"every query of the model was rejected, the last as {run.rejected[-1].code}"
        remedy = "ask a question that the warehouse can answer"
        raise PermanentTaskError("query_refused", message, remedy=remedy) from error
    if isinstance(output, CannotAnswer):
        return QueryProposal(None, output.reason, len(run.rejected))
    query = await check(output.sql, limits.max_rows)
    return QueryProposal(query, output.explanation, len(run.rejected), offered.get(output.verified or ""))


async def query_answer(
    question: str,
    *,
    agent: Agent[AgentRun, SqlAnswer | CannotAnswer],
    check: CheckQuery,
    warehouse: SnowflakeWarehouse,
    schema: Schema,
    case_id: str,
    role: str,
    memory: str = "",
    limits: QueryLimits | None = None,
    budget: UserBudget | None = None,
    verified: ReviewedQueries | None = None,
) -> SqlFindings:
    """Answer a question from the warehouse in a role, on the user's budget.

    Raises `PermanentTaskError` and `RetryableTaskError`.
    """
    limits = limits or QueryLimits()
    proposal = await propose_query(question, agent=agent, check=check, limits=limits, memory=memory, verified=verified)
    if proposal.query is None:
        return build_unanswerable(proposal.explanation, schema=schema, role=role)
    run = partial(warehouse.run, proposal.query, case_id=case_id, role=role, limits=limits)
    rows = await (budget.spend(run, limits) if budget else run())
    findings = build_findings(proposal.query, rows, schema=schema, explanation=proposal.explanation, role=role)
    if (followed := proposal.verified) is None:
        return findings
    review = f"{followed.id}, reviewed by {followed.reviewer} on {followed.reviewed_on}"
    return findings.model_copy(update={"verified": followed.id, "verified_review": review})


def _instructions(schema: Schema) -> str:
    return f"{SQL_PROMPT.replace('{audience}', schema.audience)}\n{schema.prompted()}"


def _format_unsafe_query(error: UnsafeQuery) -> str:
    return f"Refused ({error.code}): {error.what}. Remedy: {error.remedy}."

"""Handles a question about wells: computations on what the asking user may see."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from contracts.events.router import AnswerQuestion
from contracts.events.specialists import FindingsReady
from latency_failover import FailoverModel
from services.specialists.questions import read_memory, read_question
from services.specialists.well_data.access import ACCESS_ROLE, basins_of_role, role_of_scopes
from services.specialists.well_data.agent import WELL_PROMPT_VERSION, WellAgent, compute_answer
from services.specialists.well_data.store import WellScope, WellStore
from switchyard.identity.client import ConsentRequired, TokenSource
from switchyard.protocol.events.failures import ReauthNeeded
from switchyard.protocol.fields import ROLE_SCOPE
from switchyard.runtime.core.errors import PermanentTaskError
from switchyard.runtime.core.task import Task, TaskResult
from switchyard.runtime.database.session_scope import SessionScope
from switchyard.runtime.models.clients import model_budget, model_call
from switchyard.runtime.storage.artefacts import Artefacts

WELL_DATA_MARGIN_MS = 2_000


async def answer_question(
    task: Task[AnswerQuestion],
    *,
    artefacts: Artefacts,
    model: FailoverModel,
    agent: WellAgent,
    store: WellStore,
    identity: TokenSource,
    audience: str,
    basins: Mapping[str, tuple[str, ...]],
) -> TaskResult:
    """Compute what answers the question, as the asking user. `basins` are those of each role, and `audience` is the
    well data, as users' tokens name it."""
    envelope = task.envelope
    role = role_of_scopes(envelope.principal.scopes, ROLE_SCOPE)
    try:
        token = await identity.token(task, audience=audience, scopes=(ACCESS_ROLE + role,))
    except ConsentRequired as needed:
        return TaskResult(ReauthNeeded(audience=needed.audience))
    # What the identity service gave the token for counts, not what the command says.
    role = role_of_scopes(token.access.scopes, ACCESS_ROLE)
    scope = WellScope(SessionScope.of(envelope), basins_of_role(role, basins))
    question, memory = await read_question(task, artefacts), await read_memory(task, artefacts)
    async with model_budget(model, task, margin_ms=WELL_DATA_MARGIN_MS) as decisions:
        computed, words = await compute_answer(
            question, agent=agent, read=partial(store.read, scope), role=role, memory=memory
        )
    if not computed:
        # The model's reason may repeat the question, so it does not go into an event.
        message = "no computation on the loaded well data answers the question"
        remedy = "ask about production, decline, downtime, surveys or logs of wells"
        raise PermanentTaskError("cannot_answer", message, "question", remedy)
    findings, charts, figures = [], [], 0
    for each in computed:
        found = each.findings.model_copy(update={"explanation": words})
        figures += found.row_count
        document = found.model_dump_json().encode()
        findings.append(await artefacts.write(task, "findings", document, media_type="application/json"))
        if each.chart is not None:
            drawn = each.chart.encode()
            charts.append(await artefacts.write(task, "chart", drawn, media_type="image/svg+xml"))
    return TaskResult(
        FindingsReady(
            findings=tuple(findings),
            charts=tuple(charts),
            rows=figures,
            truncated=any(each.findings.truncated for each in computed),
        ),
        model_call=model_call(decisions, prompt_version=WELL_PROMPT_VERSION),
    )

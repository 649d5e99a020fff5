"""Handles CheckContact, ReviewEmail and CheckSending: read, decide with pure functions, record, answer."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from contracts.documents.accounts import AccountFacts
from contracts.documents.reviews import ReviewStage
from contracts.events import compliance as events
from contracts.events.router import CheckContact, CheckSending, ReviewEmail
from latency_failover import FailoverModel
from services.specialists.compliance import judge
from services.specialists.compliance.email_text.message import read_message
from services.specialists.compliance.pack import RulePack, pack_in_force, packs_for
from services.specialists.compliance.review import (
    RuleEvaluation,
    approval_reasons,
    blocking_results,
    build_review,
    deferred_until,
    describe_rules,
    evaluate_rules,
    fresh_salt,
    is_revisable,
    rule_ids,
    without_evidence,
)
from services.specialists.compliance.rules.contact_hours import moment_valid_until
from services.specialists.compliance.rules.rule import RuleInput
from services.specialists.compliance.store import VerdictStore
from switchyard.protocol.fields import Contract
from switchyard.runtime.core.clock import Clock, timestamp
from switchyard.runtime.core.errors import PermanentTaskError
from switchyard.runtime.core.task import Task, TaskResult
from switchyard.runtime.models.clients import model_budget, model_call
from switchyard.runtime.storage.artefacts import Artefacts

if TYPE_CHECKING:
    from pydantic_ai import Agent

COMPLIANCE_MARGIN_MS = 2_000
"""Part of the task's time limit that is reserved for recording the verdict and storing the result."""

ComplianceTask = Task[CheckContact] | Task[ReviewEmail] | Task[CheckSending]


async def check_contact(
    task: Task[CheckContact], *, artefacts: Artefacts, verdicts: VerdictStore, clock: Clock, packs: Sequence[RulePack]
) -> TaskResult:
    """Decide whether this person may be contacted by email about this debt. The moment is checked before sending."""
    if (earlier := await verdicts.find_recorded(task)) is not None:
        return earlier
    packs, now = packs_for(packs, task.envelope.tenant), clock.now()
    situation = RuleInput(await _facts(task, artefacts), task.payload.purpose, now, _pack_for(task, packs, now))
    results = evaluate_rules(situation, "contact", fresh_salt())
    common = await _store_review(task, artefacts, situation, "contact", results)
    stopped = blocking_results(results)
    payload = events.ContactBlocked(**common, **_reasons(stopped)) if stopped else events.ContactAllowed(**common)
    return await verdicts.record(task, TaskResult(payload), situation, "contact", rules=rule_ids(stopped))


async def review_email(
    task: Task[ReviewEmail],
    *,
    artefacts: Artefacts,
    verdicts: VerdictStore,
    clock: Clock,
    packs: Sequence[RulePack],
    model: FailoverModel,
    agent: Agent[None, judge.Judgement],
    opt_out_base: str | None,
) -> TaskResult:
    """Decide whether exactly this content may be sent to this person: by the rules, then by the judge if they pass."""
    if (earlier := await verdicts.find_recorded(task)) is not None:
        return earlier
    command, now, packs = task.payload, clock.now(), packs_for(packs, task.envelope.tenant)
    pack = _pack_for(task, packs, now)
    message = read_message(await _content(task, artefacts), pack.email)
    situation = RuleInput(await _facts(task, artefacts), command.purpose, now, pack, message, opt_out_base)
    results = evaluate_rules(situation, "email", fresh_salt())
    stopped = blocking_results(results)
    if stopped:
        # The judge is not asked, and the score is 0.
        common = await _store_review(task, artefacts, situation, "email", results, rubric_score=0)
        outcome = events.RevisionNeeded if is_revisable(stopped) else events.EmailBlocked
        reply = TaskResult(outcome(**common, **_reasons(stopped)), rubric_score=0)
    else:
        reply = await _judged_reply(task, artefacts, situation, results, model=model, agent=agent)
    return await verdicts.record(
        task, reply, situation, "email", rules=rule_ids(stopped), content_sha256=message.sha256
    )


async def check_sending(
    task: Task[CheckSending], *, artefacts: Artefacts, verdicts: VerdictStore, clock: Clock, packs: Sequence[RulePack]
) -> TaskResult:
    """Decide whether this content may be sent now.

    Raises `PermanentTaskError` for content that no review of this case passed.
    """
    if (earlier := await verdicts.find_recorded(task)) is not None:
        return earlier
    command, now, packs = task.payload, clock.now(), packs_for(packs, task.envelope.tenant)
    await _content(task, artefacts)
    situation = RuleInput(await _facts(task, artefacts), command.purpose, now, _pack_for(task, packs, now))
    pack, content = situation.pack.version, command.content_sha256
    packs_passed = await verdicts.packs_passed(task)
    if not packs_passed:
        raise PermanentTaskError(
            "not_reviewed",
            "no review on record passed this content for this account and purpose",
            "content_sha256",
            "submit the case again, so that the content is reviewed",
        )
    payload: Contract
    if pack not in packs_passed:
        payload = events.ReviewOutdated(pack=pack, passed_under=max(packs_passed))
        return await verdicts.record(task, TaskResult(payload), situation, "sending", content_sha256=content)
    results = evaluate_rules(situation, "sending", fresh_salt())
    common = await _store_review(task, artefacts, situation, "sending", results)
    stopped, until = blocking_results(results), deferred_until(results)
    waiting = tuple(result for result in results if result.verdict.until is not None)
    if stopped:
        payload = events.ContactBlocked(**common, **_reasons(stopped))
    elif until is not None:
        payload = events.SendingDeferred(**common, until=timestamp(until), rules=rule_ids(waiting))
    else:
        valid_until = timestamp(moment_valid_until(situation, packs))
        payload = events.SendingAllowed(**common, content_sha256=content, valid_until=valid_until)
    rules = rule_ids((*stopped, *waiting))
    return await verdicts.record(task, TaskResult(payload), situation, "sending", rules=rules, content_sha256=content)


async def _judged_reply(
    task: Task[ReviewEmail],
    artefacts: Artefacts,
    situation: RuleInput,
    results: Sequence[RuleEvaluation],
    *,
    model: FailoverModel,
    agent: Agent[None, judge.Judgement],
) -> TaskResult:
    async with model_budget(model, task, margin_ms=COMPLIANCE_MARGIN_MS) as decisions:
        judgement = await judge.judge_email(agent, situation, situation.draft)
    marks = judge.criteria(judgement, situation.pack)
    score, weak = judge.rubric_score(marks), judge.below_floor(marks)
    approval = (
        () if weak else approval_reasons(situation, results, score, returned=task.payload.instructions is not None)
    )
    judged = {"rubric": marks, "rubric_score": score, "approval": approval}
    common = await _store_review(task, artefacts, situation, "email", results, **judged)
    payload: Contract
    if weak:
        failing = "; ".join(f"{mark.name} {mark.score}, floor {mark.floor}" for mark in weak)
        payload = events.RevisionNeeded(**common, code="rubric_below_floor", message=failing)
    else:
        reason = approval[0] if approval else None
        payload = events.EmailPassed(**common, content_sha256=situation.draft.sha256, approval=reason)
    call = model_call(decisions, prompt_version=judge.JUDGE_PROMPT_VERSION)
    return TaskResult(payload, model_call=call, rubric_score=score)


async def _facts(task: ComplianceTask, artefacts: Artefacts) -> AccountFacts:
    data = await artefacts.read(task, task.payload.account)
    try:
        return AccountFacts.model_validate_json(data)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors(include_input=False, include_url=False)[0]["loc"])
        message = "the account's facts are invalid"
        raise PermanentTaskError("bad_account", message, where, "submit the case again") from None


def _pack_for(task: ComplianceTask, packs: Sequence[RulePack], now: datetime) -> RulePack:
    """The pack in force. Raises `PermanentTaskError` for a purpose that its wording does not have."""
    pack = pack_in_force(packs, now)
    if (problem := pack.wording.unknown_purpose(task.payload.purpose)) is not None:
        raise PermanentTaskError("unknown_purpose", problem, "purpose", "then retry the case")
    return pack


async def _content(task: Task[ReviewEmail] | Task[CheckSending], artefacts: Artefacts) -> bytes:
    data = await artefacts.read(task, task.payload.email)
    if hashlib.sha256(data).hexdigest() != task.payload.content_sha256:
        message = "the email's bytes are not those that the command names"
        raise PermanentTaskError("content_altered", message, "content_sha256")
    return data


async def _store_review(
    task: ComplianceTask,
    artefacts: Artefacts,
    situation: RuleInput,
    stage: ReviewStage,
    results: Sequence[RuleEvaluation],
    **judged: Any,
) -> dict[str, Any]:
    """Store the sealed review; return the fields that all verdict events have."""
    data = build_review(situation, stage, results, **judged)
    review = await artefacts.write(task, "review", data, media_type="application/json")
    return {"pack": situation.pack.version, "results": without_evidence(results), "review": review}


def _reasons(stopped: Sequence[RuleEvaluation]) -> dict[str, Any]:
    return {"message": describe_rules(stopped), "rules": rule_ids(stopped)}

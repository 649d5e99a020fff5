"""What compliance does with a command: read, decide with pure functions, record, answer."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import ValidationError

from contracts.documents.accounts import AccountFacts, Purpose
from contracts.documents.reviews import ReviewStage
from contracts.events.compliance import (
    ContactAllowed,
    ContactBlocked,
    EmailBlocked,
    EmailPassed,
    ReviewOutdated,
    RevisionNeeded,
    SendingAllowed,
    SendingDeferred,
)
from contracts.events.router import CheckContact, CheckSending, ReviewEmail
from latency_failover import FailoverModel
from services.specialists.compliance.approval import approval_reasons
from services.specialists.compliance.email_text.message import ParsedEmail, read_message
from services.specialists.compliance.judge import (
    JUDGE_PROMPT_VERSION,
    Judgement,
    below_floor,
    criteria,
    judge_email,
    rubric_score,
)
from services.specialists.compliance.pack import RulePack, pack_in_force
from services.specialists.compliance.review import (
    RuleEvaluation,
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
from services.specialists.compliance.rules.record import retain_at_least
from services.specialists.compliance.rules.rule import RuleInput
from services.specialists.compliance.store import VerdictStore, VerdictSubject
from switchyard.protocol.fields import Artefact, Contract
from switchyard.runtime.core.clock import Clock, timestamp
from switchyard.runtime.core.errors import PermanentTaskError
from switchyard.runtime.core.task import Task, TaskResult
from switchyard.runtime.models.clients import model_budget, model_call
from switchyard.runtime.storage.artefacts import Artefacts

if TYPE_CHECKING:
    from pydantic_ai import Agent

COMPLIANCE_MARGIN_MS = 2_000
"""Of the task's time limit, kept for recording the verdict and storing the result."""


async def check_contact(
    task: Task[CheckContact], *, artefacts: Artefacts, verdicts: VerdictStore, clock: Clock, packs: Sequence[RulePack]
) -> TaskResult:
    """Say whether this person may be contacted by email about this debt. The moment is checked before the sending."""
    if (earlier := await verdicts.find_recorded(task)) is not None:
        return earlier
    command, now = task.payload, clock.now()
    situation = RuleInput(await _facts(task, artefacts), command.purpose, now, pack_in_force(packs, now))
    results = evaluate_rules(situation, "contact", fresh_salt())
    review = await _store_review(task, artefacts, build_review(situation, "contact", results))
    stopped = blocking_results(results)
    pack, shown = situation.pack.version, without_evidence(results)
    payload: Contract = ContactAllowed(pack=pack, results=shown, review=review)
    if stopped:
        payload = ContactBlocked(
            pack=pack, results=shown, review=review, message=describe_rules(stopped), rules=rule_ids(stopped)
        )
    return await verdicts.record(
        task, TaskResult(payload), _verdict_subject(task.payload.account, situation, "contact", stopped)
    )


async def review_email(
    task: Task[ReviewEmail],
    *,
    artefacts: Artefacts,
    verdicts: VerdictStore,
    clock: Clock,
    packs: Sequence[RulePack],
    model: FailoverModel,
    agent: Agent[None, Judgement],
    opt_out_base: str | None,
) -> TaskResult:
    """Say whether exactly this content may be sent to this person: the rules first, and the judge if they pass it."""
    if (earlier := await verdicts.find_recorded(task)) is not None:
        return earlier
    command, now = task.payload, clock.now()
    pack = pack_in_force(packs, now)
    message = read_message(await _content(task, artefacts, command.email, command.content_sha256), pack.email)
    situation = RuleInput(await _facts(task, artefacts), command.purpose, now, pack, message, opt_out_base)
    results = evaluate_rules(situation, "email", fresh_salt())
    stopped = blocking_results(results)
    reply = (
        await _reply_blocked(task, artefacts, situation, results, stopped)
        if stopped
        else await _reply_judged(task, artefacts, situation, message, results, model=model, agent=agent)
    )
    return await verdicts.record(task, reply, _verdict_subject(command.account, situation, "email", stopped))


async def check_sending(
    task: Task[CheckSending], *, artefacts: Artefacts, verdicts: VerdictStore, clock: Clock, packs: Sequence[RulePack]
) -> TaskResult:
    """Say whether this content may be sent now.

    Raises `PermanentTaskError` for content that no review of this case passed.
    """
    if (earlier := await verdicts.find_recorded(task)) is not None:
        return earlier
    command, now = task.payload, clock.now()
    await _content(task, artefacts, command.email, command.content_sha256)
    situation = RuleInput(await _facts(task, artefacts), command.purpose, now, pack_in_force(packs, now))
    pack, content = situation.pack.version, command.content_sha256
    packs_passed = await verdicts.packs_passed(task.envelope.case_id, content, command.account.sha256, command.purpose)
    if pack not in packs_passed:
        if not packs_passed:
            raise PermanentTaskError(
                "not_reviewed",
                "no review on record passed this content for this account and purpose",
                "content_sha256",
                "let the case be reviewed from the start",
            )
        outdated = TaskResult(ReviewOutdated(pack=pack, passed_under=max(packs_passed)))
        return await verdicts.record(
            task, outdated, _verdict_subject(command.account, situation, "sending", (), content)
        )
    results = evaluate_rules(situation, "sending", fresh_salt())
    review = await _store_review(task, artefacts, build_review(situation, "sending", results))
    stopped, until, shown = blocking_results(results), deferred_until(results), without_evidence(results)
    waiting = tuple(result for result in results if result.verdict.until is not None)
    payload: Contract
    if stopped:
        payload = ContactBlocked(
            pack=pack, results=shown, review=review, message=describe_rules(stopped), rules=rule_ids(stopped)
        )
    elif until is not None:
        payload = SendingDeferred(
            pack=pack, results=shown, review=review, until=timestamp(until), rules=rule_ids(waiting)
        )
    else:
        payload = SendingAllowed(
            pack=pack,
            results=shown,
            review=review,
            content_sha256=content,
            valid_until=timestamp(moment_valid_until(situation, packs)),
        )
    about = _verdict_subject(command.account, situation, "sending", (*stopped, *waiting), content)
    return await verdicts.record(task, TaskResult(payload), about)


async def _reply_blocked(
    task: Task[ReviewEmail],
    artefacts: Artefacts,
    situation: RuleInput,
    results: Sequence[RuleEvaluation],
    stopped: Sequence[RuleEvaluation],
) -> TaskResult:
    """A draft that a rule stops is not shown to the judge: its score is 0 whatever a model would say."""
    review = await _store_review(task, artefacts, build_review(situation, "email", results, rubric_score=0))
    outcome = RevisionNeeded if is_revisable(stopped) else EmailBlocked
    payload = outcome(
        pack=situation.pack.version,
        results=without_evidence(results),
        review=review,
        message=describe_rules(stopped),
        rules=rule_ids(stopped),
    )
    return TaskResult(payload, rubric_score=0)


async def _reply_judged(
    task: Task[ReviewEmail],
    artefacts: Artefacts,
    situation: RuleInput,
    message: ParsedEmail,
    results: Sequence[RuleEvaluation],
    *,
    model: FailoverModel,
    agent: Agent[None, Judgement],
) -> TaskResult:
    async with model_budget(model, task, margin_ms=COMPLIANCE_MARGIN_MS) as decisions:
        judgement = await judge_email(agent, situation, message)
    marks = criteria(judgement, situation.pack)
    score, weak = rubric_score(marks), below_floor(marks)
    approval = () if weak else approval_reasons(situation, results, score)
    review = await _store_review(
        task,
        artefacts,
        build_review(situation, "email", results, rubric=marks, rubric_score=score, approval=approval),
    )
    pack, shown = situation.pack.version, without_evidence(results)
    payload: Contract = EmailPassed(
        pack=pack,
        results=shown,
        review=review,
        content_sha256=message.sha256,
        approval=approval[0] if approval else None,
    )
    if weak:
        failing = "; ".join(f"{mark.name} {mark.score}, floor {mark.floor}" for mark in weak)
        payload = RevisionNeeded(pack=pack, results=shown, review=review, code="rubric_below_floor", message=failing)
    return TaskResult(
        payload, model_call=model_call(decisions, prompt_version=JUDGE_PROMPT_VERSION), rubric_score=score
    )


async def _facts(task: Task[CheckContact | ReviewEmail | CheckSending], artefacts: Artefacts) -> AccountFacts:
    data = await artefacts.read(task, task.payload.account)
    try:
        return AccountFacts.model_validate_json(data)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors(include_input=False, include_url=False)[0]["loc"])
        raise PermanentTaskError(
            "bad_account", "the account's facts are not valid", where, "submit the case again"
        ) from None


async def _content(task: Task[Contract], artefacts: Artefacts, email: Artefact, content_sha256: str) -> bytes:
    data = await artefacts.read(task, email)
    if hashlib.sha256(data).hexdigest() != content_sha256:
        raise PermanentTaskError(
            "content_altered", "the email's bytes are not those that the command names", "content_sha256"
        )
    return data


async def _store_review(task: Task[Contract], artefacts: Artefacts, review: bytes) -> Artefact:
    return await artefacts.write(task, "review", review, media_type="application/json")


def _verdict_subject(
    account: Artefact,
    situation: RuleInput,
    stage: ReviewStage,
    rules: Sequence[RuleEvaluation],
    content_sha256: str | None = None,
) -> VerdictSubject:
    purpose: Purpose = situation.purpose
    if situation.message is not None:
        content_sha256 = situation.message.sha256
    return VerdictSubject(
        stage=stage,
        pack=situation.pack.version,
        purpose=purpose,
        account_sha256=account.sha256,
        content_sha256=content_sha256,
        rules=rule_ids(rules),
        recorded_at=situation.now,
        retain_until=retain_at_least(situation),
    )

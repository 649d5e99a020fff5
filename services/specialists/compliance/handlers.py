"""What compliance does with a command: read, decide with pure functions, record, answer."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import ValidationError

from contracts.documents.accounts import AccountFacts, Purpose
from contracts.documents.reviews import Stage
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
from services.specialists.compliance.approval import reasons
from services.specialists.compliance.email_text.message import Message, read_message
from services.specialists.compliance.judge import (
    PROMPT_VERSION,
    Judgement,
    below_floor,
    criteria,
    judge,
    rubric_score,
)
from services.specialists.compliance.pack import RulePack, in_force
from services.specialists.compliance.review import (
    Result,
    blocking,
    deferred_until,
    evaluate,
    fresh_salt,
    in_the_open,
    mendable,
    rule_ids,
    sealed,
    told,
)
from services.specialists.compliance.rules.record import retain_at_least
from services.specialists.compliance.rules.rule import Situation
from services.specialists.compliance.rules.timing import valid_until
from services.specialists.compliance.store import Subject, Verdicts
from switchyard.protocol.fields import Artefact, Contract
from switchyard.runtime.core.clock import Clock, timestamp
from switchyard.runtime.core.errors import Rejected
from switchyard.runtime.core.task import Reply, Task
from switchyard.runtime.models.clients import model_call, spending
from switchyard.runtime.storage.artefacts import Artefacts

if TYPE_CHECKING:
    from pydantic_ai import Agent

MARGIN_MS = 2_000
"""Of the task's time limit, kept for recording the verdict and storing the result."""


async def check_contact(
    task: Task[CheckContact], *, artefacts: Artefacts, verdicts: Verdicts, clock: Clock, packs: Sequence[RulePack]
) -> Reply:
    """Say whether this person may be contacted by email about this debt. The moment is checked before the sending."""
    if (earlier := await verdicts.recorded(task)) is not None:
        return earlier
    command, now = task.payload, clock.now()
    situation = Situation(await _facts(task, artefacts), command.purpose, now, in_force(packs, now))
    results = evaluate(situation, "contact", fresh_salt())
    review = await _keep(task, artefacts, sealed(situation, "contact", results))
    stopped = blocking(results)
    pack, shown = situation.pack.version, in_the_open(results)
    payload: Contract = ContactAllowed(pack=pack, results=shown, review=review)
    if stopped:
        payload = ContactBlocked(
            pack=pack, results=shown, review=review, message=told(stopped), rules=rule_ids(stopped)
        )
    return await verdicts.record(task, Reply(payload), _about(task.payload.account, situation, "contact", stopped))


async def review_email(
    task: Task[ReviewEmail],
    *,
    artefacts: Artefacts,
    verdicts: Verdicts,
    clock: Clock,
    packs: Sequence[RulePack],
    model: FailoverModel,
    agent: Agent[None, Judgement],
    opt_out_base: str | None,
) -> Reply:
    """Say whether exactly this content may be sent to this person: the rules first, and the judge if they pass it."""
    if (earlier := await verdicts.recorded(task)) is not None:
        return earlier
    command, now = task.payload, clock.now()
    pack = in_force(packs, now)
    message = read_message(await _content(task, artefacts, command.email, command.content_sha256), pack.email)
    situation = Situation(await _facts(task, artefacts), command.purpose, now, pack, message, opt_out_base)
    results = evaluate(situation, "email", fresh_salt())
    stopped = blocking(results)
    reply = (
        await _stopped(task, artefacts, situation, results, stopped)
        if stopped
        else await _judged(task, artefacts, situation, message, results, model=model, agent=agent)
    )
    return await verdicts.record(task, reply, _about(command.account, situation, "email", stopped))


async def check_sending(
    task: Task[CheckSending], *, artefacts: Artefacts, verdicts: Verdicts, clock: Clock, packs: Sequence[RulePack]
) -> Reply:
    """Say whether this content may be sent now. Raises `Rejected` for content that no review of this case passed."""
    if (earlier := await verdicts.recorded(task)) is not None:
        return earlier
    command, now = task.payload, clock.now()
    await _content(task, artefacts, command.email, command.content_sha256)
    situation = Situation(await _facts(task, artefacts), command.purpose, now, in_force(packs, now))
    pack, content = situation.pack.version, command.content_sha256
    passes = await verdicts.passes(task.envelope.case_id, content, command.account.sha256, command.purpose)
    if pack not in passes:
        if not passes:
            raise Rejected(
                "not_reviewed",
                "no review on record passed this content for this account and purpose",
                "content_sha256",
                "let the case be reviewed from the start",
            )
        outdated = Reply(ReviewOutdated(pack=pack, passed_under=max(passes)))
        return await verdicts.record(task, outdated, _about(command.account, situation, "sending", (), content))
    results = evaluate(situation, "sending", fresh_salt())
    review = await _keep(task, artefacts, sealed(situation, "sending", results))
    stopped, until, shown = blocking(results), deferred_until(results), in_the_open(results)
    waiting = tuple(result for result in results if result.verdict.until is not None)
    payload: Contract
    if stopped:
        payload = ContactBlocked(
            pack=pack, results=shown, review=review, message=told(stopped), rules=rule_ids(stopped)
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
            valid_until=timestamp(valid_until(situation, packs)),
        )
    about = _about(command.account, situation, "sending", (*stopped, *waiting), content)
    return await verdicts.record(task, Reply(payload), about)


async def _stopped(
    task: Task[ReviewEmail],
    artefacts: Artefacts,
    situation: Situation,
    results: Sequence[Result],
    stopped: Sequence[Result],
) -> Reply:
    """A draft that a rule stops is not shown to the judge: its score is 0 whatever a model would say."""
    review = await _keep(task, artefacts, sealed(situation, "email", results, rubric_score=0))
    outcome = RevisionNeeded if mendable(stopped) else EmailBlocked
    payload = outcome(
        pack=situation.pack.version,
        results=in_the_open(results),
        review=review,
        message=told(stopped),
        rules=rule_ids(stopped),
    )
    return Reply(payload, rubric_score=0)


async def _judged(
    task: Task[ReviewEmail],
    artefacts: Artefacts,
    situation: Situation,
    message: Message,
    results: Sequence[Result],
    *,
    model: FailoverModel,
    agent: Agent[None, Judgement],
) -> Reply:
    async with spending(model, task, margin_ms=MARGIN_MS) as decisions:
        judgement = await judge(agent, situation, message)
    marks = criteria(judgement, situation.pack)
    score, weak = rubric_score(marks), below_floor(marks)
    approval = () if weak else reasons(situation, results, score)
    review = await _keep(
        task,
        artefacts,
        sealed(situation, "email", results, rubric=marks, rubric_score=score, approval=approval),
    )
    pack, shown = situation.pack.version, in_the_open(results)
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
    return Reply(payload, model_call=model_call(decisions, prompt_version=PROMPT_VERSION), rubric_score=score)


async def _facts(task: Task[CheckContact | ReviewEmail | CheckSending], artefacts: Artefacts) -> AccountFacts:
    data = await artefacts.read(task, task.payload.account)
    try:
        return AccountFacts.model_validate_json(data)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors(include_input=False, include_url=False)[0]["loc"])
        raise Rejected("bad_account", "the account's facts are not valid", where, "submit the case again") from None


async def _content(task: Task[Contract], artefacts: Artefacts, email: Artefact, content_sha256: str) -> bytes:
    data = await artefacts.read(task, email)
    if hashlib.sha256(data).hexdigest() != content_sha256:
        raise Rejected("content_altered", "the email's bytes are not those that the command names", "content_sha256")
    return data


async def _keep(task: Task[Contract], artefacts: Artefacts, review: bytes) -> Artefact:
    return await artefacts.write(task, "review", review, media_type="application/json")


def _about(
    account: Artefact,
    situation: Situation,
    stage: Stage,
    rules: Sequence[Result],
    content_sha256: str | None = None,
) -> Subject:
    purpose: Purpose = situation.purpose
    if situation.message is not None:
        content_sha256 = situation.message.sha256
    return Subject(
        stage=stage,
        pack=situation.pack.version,
        purpose=purpose,
        account_sha256=account.sha256,
        content_sha256=content_sha256,
        rules=rule_ids(rules),
        recorded_at=situation.now,
        retain_until=retain_at_least(situation),
    )

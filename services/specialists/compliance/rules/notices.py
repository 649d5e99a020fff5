"""Rules about what an email must say, and what it must not drown: opt-out, disclosures, validation, disputes."""

from __future__ import annotations

import re
from datetime import date, timedelta

from services.specialists.compliance.rules.draft_checks import find_listed_terms, missing_required_texts, require_draft
from services.specialists.compliance.rules.rule import (
    DRAFT_STAGES,
    ComplianceRule,
    DraftProblem,
    RuleInput,
    RuleVerdict,
    block_for_missing_facts,
    block_with,
    pass_with,
    verdict_of_problems,
)

_LIST_URL = re.compile(r"<(https?://[^<>\s]+)>")


def unsubscribe_url(situation: RuleInput) -> str | None:
    """The one-click address of List-Unsubscribe (RFC 8058), if there is exactly one and it leads where it must.

    Plain http passes only if the deployment's own opt-out pages have it, as on a laptop.
    """
    found: list[str] = _LIST_URL.findall(require_draft(situation).header("list-unsubscribe") or "")
    base = "https:/" if situation.opt_out_base is None else situation.opt_out_base.rstrip("/")
    return found[0] if len(found) == 1 and found[0].startswith(f"{base}/") else None


def check_opt_out(situation: RuleInput) -> RuleVerdict:
    """12 CFR 1006.6(e): a clear and conspicuous way to opt out in every email; RFC 8058 for the one-click headers."""
    message = require_draft(situation)
    problems = missing_required_texts(situation, "R06")
    url = unsubscribe_url(situation)
    if url is None:
        problems.append(DraftProblem("List-Unsubscribe has no single https address of ours"))
    elif url not in message.text_links or url not in message.html_links:
        problems.append(
            DraftProblem("a part lacks the opt-out link", "put the List-Unsubscribe address into both parts")
        )
    if message.header("list-unsubscribe-post") != "List-Unsubscribe=One-Click":
        problems.append(DraftProblem("List-Unsubscribe-Post is not List-Unsubscribe=One-Click"))
    return verdict_of_problems(problems, "the opt-out is in both parts and in the headers")


def check_disclosure(situation: RuleInput) -> RuleVerdict:
    """12 CFR 1006.18(e): the full disclosure in the first communication, "from a debt collector" in each later one."""
    history = situation.facts.history
    if history.contacted_before is None:
        return block_for_missing_facts("history.contacted_before")
    if not history.contacted_before and (history.first_contact_on is not None or history.contacts):
        return block_with("the history says both that there was a contact and that there was none")
    return verdict_of_problems(missing_required_texts(situation, "R10"), "the disclosure is in both parts")


def check_validation_notice(situation: RuleInput) -> RuleVerdict:
    """12 CFR 1006.34(a)(1): the validation notice in the first communication, or within five days of it."""
    return _this_notice(situation) if situation.purpose == "initial_notice" else _earlier_notice(situation)


def _this_notice(situation: RuleInput) -> RuleVerdict:
    """The period ends 30 days after the consumer is assumed to have the notice: 1006.34(b)(5)."""
    ends = situation.facts.history.validation_ends_on
    if ends is None:
        return block_for_missing_facts("history.validation_ends_on")
    least = situation.pack.validation.min_days
    if date.fromisoformat(ends) < situation.today + timedelta(days=least):
        return block_with(f"the validation period would end less than {least} days after this notice")
    if situation.message is None:
        return pass_with("this email is the notice")
    return verdict_of_problems(missing_required_texts(situation, "R11"), "every item of the notice is in both parts")


def _earlier_notice(situation: RuleInput) -> RuleVerdict:
    history = situation.facts.history
    if history.validation_notice_on is not None:
        if date.fromisoformat(history.validation_notice_on) > situation.today:
            return block_with("the validation notice is dated in the future")
        return pass_with("the validation notice was sent")
    if history.contacted_before is False:
        return block_with("the first communication must be the validation notice: submit it as initial_notice")
    if history.first_contact_on is None:
        return block_for_missing_facts("history.validation_notice_on", "history.first_contact_on")
    first = date.fromisoformat(history.first_contact_on)
    if situation.today > first + timedelta(days=situation.pack.validation.days_after_first_contact):
        return block_with("no validation notice was sent within five days of the first contact")
    return RuleVerdict("warn", ("the validation notice is still due",))


def check_dispute(situation: RuleInput) -> RuleVerdict:
    """12 CFR 1006.38(d)(2): an open dispute stops collection; (b): nothing overshadows the validation period.

    An answer to the dispute itself is no collection.
    """
    history = situation.facts.history
    if history.dispute_open is None:
        return block_for_missing_facts("history.dispute_open")
    if history.dispute_open and situation.purpose != "dispute_response":
        return block_with("a dispute is open: only an answer to it may be sent")
    if history.contacted_before and history.validation_notice_on is not None and history.validation_ends_on is None:
        return block_for_missing_facts("history.validation_ends_on")
    if situation.message is None:
        return pass_with("no dispute is open")
    if history.validation_ends_on is not None and history.validation_ends_on < situation.today.isoformat():
        return pass_with("no dispute is open, the validation period is over")
    problems = [
        DraftProblem(
            f"{term!r} in the {where} overshadows the right to dispute",
            f"leave out {term!r}: the validation period runs until {history.validation_ends_on}",
        )
        for term, _, where in find_listed_terms(situation, "overshadowing")
    ]
    for where, figures in situation.figures.items():
        for said_date in figures.dates:
            for offer in situation.facts.ledger.offers:
                early = history.validation_ends_on is None or offer.due_on < history.validation_ends_on
                if said_date.is_day(offer.due_on) and early:
                    problems.append(DraftProblem(f"the {where} wants a payment before the validation period ends"))
    return verdict_of_problems(problems, "nothing overshadows the validation period")


_HISTORY = ("history.contacted_before", "history.first_contact_on")
R06 = ComplianceRule(
    id="R06",
    name="Opt-out in every email",
    citation="12 CFR 1006.6(e)",
    topic="draft",
    severity="block",
    stages=DRAFT_STAGES,
    reads=("message", "purpose", "history", "ledger", "agency", "now"),
    check=check_opt_out,
)
R10 = ComplianceRule(
    id="R10",
    name="Disclosure of the collector",
    citation="12 CFR 1006.18(e)",
    topic="draft",
    severity="block",
    stages=DRAFT_STAGES,
    reads=("message", "purpose", "history", "ledger", "agency", "now"),
    check=check_disclosure,
)
R11 = ComplianceRule(
    id="R11",
    name="Validation notice",
    citation="12 CFR 1006.34(a)(1)",
    topic="draft",
    severity="block",
    stages=("contact", "email", "sending"),
    reads=("message", "purpose", "history", "ledger", "agency", "now"),
    check=check_validation_notice,
)
R12 = ComplianceRule(
    id="R12",
    name="Disputes and overshadowing",
    citation="12 CFR 1006.38(b), (d)",
    topic="draft",
    severity="block",
    stages=("contact", "email", "sending"),
    reads=("message", "purpose", "history", "ledger", "agency", "consumer.first_name", "consumer.last_name", "now"),
    check=check_dispute,
)

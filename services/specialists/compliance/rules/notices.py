"""Rules about required texts: opt-out, disclosures, validation notice, disputes."""

from __future__ import annotations

import re
from datetime import date, timedelta

from services.specialists.compliance.rules.rule import (
    DraftProblem,
    RuleInput,
    RuleVerdict,
    blocks,
    blocks_for,
    passes,
    unknown,
)

_LIST_URL = re.compile(r"<(https?://[^<>\s]+)>")


def unsubscribe_url(situation: RuleInput) -> str | None:
    """The one-click address of List-Unsubscribe (RFC 8058), if there is exactly one and it leads to the opt-out pages.

    Plain http passes only if the deployment's own opt-out pages use it, as in the local stack.
    """
    found: list[str] = _LIST_URL.findall(situation.draft.header("list-unsubscribe") or "")
    base = "https:/" if situation.opt_out_base is None else situation.opt_out_base.rstrip("/")
    return found[0] if len(found) == 1 and found[0].startswith(f"{base}/") else None


def check_opt_out(situation: RuleInput) -> RuleVerdict:
    """12 CFR 1006.6(e): a clear and conspicuous way to opt out in every email; RFC 8058 for the one-click headers."""
    message = situation.draft
    problems = situation.missing_texts("R06")
    url = unsubscribe_url(situation)
    if url is None:
        problems.append(DraftProblem("List-Unsubscribe does not hold exactly one https address of the opt-out pages"))
    elif url not in message.text_links or url not in message.shown_links:
        fix = "put the List-Unsubscribe address into both parts, where a reader sees it"
        problems.append(DraftProblem("a part lacks the opt-out link", fix))
    if message.header("list-unsubscribe-post") != "List-Unsubscribe=One-Click":
        problems.append(DraftProblem("List-Unsubscribe-Post is not List-Unsubscribe=One-Click"))
    return blocks_for(problems, fine="the opt-out is in both parts and in the headers")


def check_disclosure(situation: RuleInput) -> RuleVerdict:
    """12 CFR 1006.18(e): the full disclosure in the first communication, "from a debt collector" in each later one."""
    history = situation.facts.history
    if history.contacted_before is None:
        return unknown("history.contacted_before")
    if not history.contacted_before and (history.first_contact_on is not None or history.contacts):
        return blocks("the history says both that there was a contact and that there was none")
    return blocks_for(situation.missing_texts("R10"), fine="the disclosure is in both parts")


def check_validation_notice(situation: RuleInput) -> RuleVerdict:
    """12 CFR 1006.34(a)(1): the validation notice in the first communication, or within five days of it."""
    return _this_notice(situation) if situation.email_purpose.validation_notice else _earlier_notice(situation)


def _this_notice(situation: RuleInput) -> RuleVerdict:
    """The period ends 30 days after the consumer is assumed to have the notice: 1006.34(b)(5)."""
    ends = situation.facts.history.validation_ends_on
    if ends is None:
        return unknown("history.validation_ends_on")
    least = situation.pack.validation.min_days
    if date.fromisoformat(ends) < situation.days[1] + timedelta(days=least):
        return blocks(f"the validation period would end less than {least} days after this notice")
    if situation.message is None:
        return passes("this email is the notice")
    return blocks_for(situation.missing_texts("R11"), fine="every item of the notice is in both parts")


def _earlier_notice(situation: RuleInput) -> RuleVerdict:
    history = situation.facts.history
    if history.validation_notice_on is not None:
        if date.fromisoformat(history.validation_notice_on) > situation.days[1]:
            return blocks("the validation notice is dated in the future")
        return passes("the validation notice was sent")
    if history.contacted_before is False:
        notices = " or ".join(situation.pack.wording.notices)
        return blocks(f"the first communication must be the validation notice: submit it as {notices}")
    if history.first_contact_on is None:
        return unknown("history.validation_notice_on", "history.first_contact_on")
    first = date.fromisoformat(history.first_contact_on)
    if situation.days[1] > first + timedelta(days=situation.pack.validation.days_after_first_contact):
        return blocks("no validation notice was sent within five days of the first contact")
    return RuleVerdict("warn", ("the validation notice is still due",))


def check_dispute(situation: RuleInput) -> RuleVerdict:
    """12 CFR 1006.38(d)(2): an open dispute stops collection; (b): nothing overshadows the validation period.

    An answer to the dispute itself is not collection.
    """
    history = situation.facts.history
    if history.dispute_open is None:
        return unknown("history.dispute_open")
    if history.dispute_open and not situation.email_purpose.answers_dispute:
        return blocks("a dispute is open: only an answer to it may be sent")
    if history.contacted_before and history.validation_notice_on is not None and history.validation_ends_on is None:
        return unknown("history.validation_ends_on")
    if situation.message is None:
        return passes("no dispute is open")
    if history.validation_ends_on is not None and history.validation_ends_on < situation.days[0].isoformat():
        return passes("no dispute is open, the validation period is over")
    ends = history.validation_ends_on
    problems = []
    for term, _, where in situation.listed_terms("overshadowing"):
        fix = f"leave out {term!r}: the validation period runs until {ends}"
        problems.append(DraftProblem(f"{term!r} in the {where} overshadows the right to dispute", fix))
    early = [offer.due_on for offer in situation.facts.ledger.offers if ends is None or offer.due_on < ends]
    problems += [
        DraftProblem(f"the {where} wants a payment before the validation period ends")
        for where, figures in situation.figures.items()
        if any(written.is_day(day) for written in figures.dates for day in early)
    ]
    return blocks_for(problems, fine="nothing overshadows the validation period")

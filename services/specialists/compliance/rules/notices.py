"""Rules about what an email must say, and what it must not drown: opt-out, disclosures, validation, disputes."""

from __future__ import annotations

import re
from datetime import date, timedelta

from services.specialists.compliance.rules.rule import (
    DRAFT,
    Problem,
    Rule,
    Situation,
    Verdict,
    blocked,
    judged,
    passed,
    unknown,
)
from services.specialists.compliance.rules.wording import draft, missing, said

_LIST_URL = re.compile(r"<(https?://[^<>\s]+)>")


def opt_out_url(situation: Situation) -> str | None:
    """The one-click address of List-Unsubscribe (RFC 8058), if there is exactly one and it leads where it must.

    Plain http passes only if the deployment's own opt-out pages have it, as on a laptop.
    """
    found: list[str] = _LIST_URL.findall(draft(situation).header("list-unsubscribe") or "")
    base = "https:/" if situation.opt_out_base is None else situation.opt_out_base.rstrip("/")
    return found[0] if len(found) == 1 and found[0].startswith(f"{base}/") else None


def opt_out(situation: Situation) -> Verdict:
    """12 CFR 1006.6(e): a clear and conspicuous way to opt out in every email; RFC 8058 for the one-click headers."""
    message = draft(situation)
    problems = missing(situation, "R06")
    url = opt_out_url(situation)
    if url is None:
        problems.append(Problem("List-Unsubscribe has no single https address of ours"))
    elif url not in message.text_links or url not in message.html_links:
        problems.append(Problem("a part lacks the opt-out link", "put the List-Unsubscribe address into both parts"))
    if message.header("list-unsubscribe-post") != "List-Unsubscribe=One-Click":
        problems.append(Problem("List-Unsubscribe-Post is not List-Unsubscribe=One-Click"))
    return judged(problems, "the opt-out is in both parts and in the headers")


def disclosure(situation: Situation) -> Verdict:
    """12 CFR 1006.18(e): the full disclosure in the first communication, "from a debt collector" in each later one."""
    history = situation.facts.history
    if history.contacted_before is None:
        return unknown("history.contacted_before")
    if not history.contacted_before and (history.first_contact_on is not None or history.contacts):
        return blocked("the history says both that there was a contact and that there was none")
    return judged(missing(situation, "R10"), "the disclosure is in both parts")


def validation(situation: Situation) -> Verdict:
    """12 CFR 1006.34(a)(1): the validation notice in the first communication, or within five days of it."""
    return _this_notice(situation) if situation.purpose == "initial_notice" else _earlier_notice(situation)


def _this_notice(situation: Situation) -> Verdict:
    """The period ends 30 days after the consumer is assumed to have the notice: 1006.34(b)(5)."""
    ends = situation.facts.history.validation_ends_on
    if ends is None:
        return unknown("history.validation_ends_on")
    least = situation.pack.validation.min_days
    if date.fromisoformat(ends) < situation.today + timedelta(days=least):
        return blocked(f"the validation period would end less than {least} days after this notice")
    if situation.message is None:
        return passed("this email is the notice")
    return judged(missing(situation, "R11"), "every item of the notice is in both parts")


def _earlier_notice(situation: Situation) -> Verdict:
    history = situation.facts.history
    if history.validation_notice_on is not None:
        if date.fromisoformat(history.validation_notice_on) > situation.today:
            return blocked("the validation notice is dated in the future")
        return passed("the validation notice was sent")
    if history.contacted_before is False:
        return blocked("the first communication must be the validation notice: submit it as initial_notice")
    if history.first_contact_on is None:
        return unknown("history.validation_notice_on", "history.first_contact_on")
    first = date.fromisoformat(history.first_contact_on)
    if situation.today > first + timedelta(days=situation.pack.validation.days_after_first_contact):
        return blocked("no validation notice was sent within five days of the first contact")
    return Verdict("warn", ("the validation notice is still due",))


def dispute(situation: Situation) -> Verdict:
    """12 CFR 1006.38(d)(2): an open dispute stops collection; (b): nothing overshadows the validation period.

    An answer to the dispute itself is no collection.
    """
    history = situation.facts.history
    if history.dispute_open is None:
        return unknown("history.dispute_open")
    if history.dispute_open and situation.purpose != "dispute_response":
        return blocked("a dispute is open: only an answer to it may be sent")
    if history.contacted_before and history.validation_notice_on is not None and history.validation_ends_on is None:
        return unknown("history.validation_ends_on")
    if situation.message is None:
        return passed("no dispute is open")
    if history.validation_ends_on is not None and history.validation_ends_on < situation.today.isoformat():
        return passed("no dispute is open, the validation period is over")
    problems = [
        Problem(
            f"{term!r} in the {where} overshadows the right to dispute",
            f"leave out {term!r}: the validation period runs until {history.validation_ends_on}",
        )
        for term, _, where in said(situation, "overshadowing")
    ]
    for where, figures in situation.figures.items():
        for said_date in figures.dates:
            for offer in situation.facts.ledger.offers:
                early = history.validation_ends_on is None or offer.due_on < history.validation_ends_on
                if said_date.is_day(offer.due_on) and early:
                    problems.append(Problem(f"the {where} wants a payment before the validation period ends"))
    return judged(problems, "nothing overshadows the validation period")


_HISTORY = ("history.contacted_before", "history.first_contact_on")
R06 = Rule(
    id="R06",
    name="Opt-out in every email",
    citation="12 CFR 1006.6(e)",
    about="draft",
    severity="block",
    stages=DRAFT,
    reads=("message", "purpose", "history", "ledger", "agency", "now"),
    check=opt_out,
)
R10 = Rule(
    id="R10",
    name="Disclosure of the collector",
    citation="12 CFR 1006.18(e)",
    about="draft",
    severity="block",
    stages=DRAFT,
    reads=("message", "purpose", "history", "ledger", "agency", "now"),
    check=disclosure,
)
R11 = Rule(
    id="R11",
    name="Validation notice",
    citation="12 CFR 1006.34(a)(1)",
    about="draft",
    severity="block",
    stages=("contact", "email", "sending"),
    reads=("message", "purpose", "history", "ledger", "agency", "now"),
    check=validation,
)
R12 = Rule(
    id="R12",
    name="Disputes and overshadowing",
    citation="12 CFR 1006.38(b), (d)",
    about="draft",
    severity="block",
    stages=("contact", "email", "sending"),
    reads=("message", "purpose", "history", "ledger", "agency", "consumer.first_name", "consumer.last_name", "now"),
    check=dispute,
)

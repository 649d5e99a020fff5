"""The wording that the law requires in an email, shared by who writes it and who checks it.

The drafter puts these texts in; compliance looks for exactly them. The texts are data (`wording.toml`, or a file of the
company's own); see docs/build/compliance-rules.md for what they leave out.
"""

from __future__ import annotations

import datetime
from typing import Literal

from contracts.documents.accounts import AccountFacts, Purpose
from contracts.documents.wording import SHIPPED, Wording
from switchyard.protocol.fields import Contract


class Disclosure(Contract):
    """One text that an email must carry, and the rule that asks for it."""

    rule: Literal["R06", "R10", "R11", "R13", "R17"]
    name: str
    text: str


def format_dollars(amount: str) -> str:
    """How an amount of the ledger is written: `1234.50` as `$1,234.50`."""
    whole, cents = amount.split(".")
    return f"${int(whole):,}.{cents}"


def format_long_date(day: str) -> str:
    """How a date is written: `2026-07-01` as `July 1, 2026`."""
    date = datetime.date.fromisoformat(day)
    return f"{date:%B} {date.day}, {date.year}"


def is_time_barred(facts: AccountFacts, today: str) -> bool | None:
    """Whether no suit may be brought any more; None if nothing on file says. The stricter of two facts counts."""
    ledger = facts.ledger
    if ledger.limitation_ended or (ledger.limitation_ends_on is not None and ledger.limitation_ends_on < today):
        return True
    return None if ledger.limitation_ended is None and ledger.limitation_ends_on is None else False


def validation_notice(facts: AccountFacts, wording: Wording = SHIPPED) -> tuple[Disclosure, ...]:
    """The validation notice, item by item (12 CFR 1006.34(c)).

    Raises `ValueError` if the facts do not say when the validation period ends: without that there is no notice.
    """
    ledger, agency = facts.ledger, facts.agency
    if facts.history.validation_ends_on is None:
        raise ValueError("history.validation_ends_on is missing: the notice must say by when to dispute")
    filled = {
        "agency": agency.name,
        "address": agency.address,
        "phone": agency.phone,
        "website": agency.website,
        "original_creditor": ledger.original_creditor,
        "current_creditor": ledger.current_creditor,
        "reference": ledger.reference,
        "itemization_on": format_long_date(ledger.itemization_on),
        "validation_ends_on": format_long_date(facts.history.validation_ends_on),
        **{
            name: format_dollars(getattr(ledger, name))
            for name in ("principal", "interest", "fees", "payments", "balance")
        },
    }
    return tuple(
        Disclosure(rule="R11", name=f"validation notice: {name}", text=text.format(**filled))
        for name, text in wording.validation
    )


def required_disclosures(
    facts: AccountFacts, purpose: Purpose, today: str, wording: Wording = SHIPPED
) -> tuple[Disclosure, ...]:
    """Every text that an email for this purpose must carry word for word, in the order in which it is usually set.

    `today` is a day of the calendar as text, `purpose` one of the wording's. Raises `ValueError` as `validation_notice`
    does, for an email that is one.
    """
    notice = validation_notice(facts, wording) if wording.purposes[purpose].validation_notice else ()
    return (*notice, *standing_disclosures(facts, today, wording))


def standing_disclosures(facts: AccountFacts, today: str, wording: Wording = SHIPPED) -> tuple[Disclosure, ...]:
    """Every text that an email must carry for any purpose."""
    texts: list[Disclosure] = []
    if facts.history.contacted_before is False:
        texts.append(Disclosure(rule="R10", name="first disclosure", text=wording.first_contact))
    else:
        texts.append(Disclosure(rule="R10", name="later disclosure", text=wording.later_contact))
    if is_time_barred(facts, today):
        texts.append(Disclosure(rule="R13", name="time-barred debt", text=wording.time_barred))
    texts.append(Disclosure(rule="R06", name="opt-out", text=wording.opt_out))
    texts.append(Disclosure(rule="R17", name="postal address", text=f"{facts.agency.name}, {facts.agency.address}"))
    return tuple(texts)

"""The wording that the law requires in an email, shared by who writes it and who checks it.

The drafter puts these texts in; compliance looks for exactly them. A text that was released is never edited in place:
change it together with `DISCLOSURES_VERSION` and a new rule pack, and have counsel read both. The validation notice
follows the model form B-1 of 12 CFR part 1006, appendix B, in words; see docs/build/compliance-rules.md
for what it leaves out.
"""

from __future__ import annotations

import datetime
from typing import Literal

from contracts.documents.accounts import AccountFacts, Purpose
from switchyard.protocol.fields import Contract

DISCLOSURES_VERSION = "2026-1"

FIRST_CONTACT_DISCLOSURE = (
    "This is an attempt to collect a debt by a debt collector. Any information obtained will be used for that purpose."
)
"""12 CFR 1006.18(e)(1): in the first communication."""

LATER_CONTACT = "This communication is from a debt collector."
"""12 CFR 1006.18(e)(2): in every later one."""

OPT_OUT_NOTICE = "If you do not want to receive emails about this account at this address, you can opt out here:"
"""12 CFR 1006.6(e): followed by the link of the List-Unsubscribe header, in the text and in the HTML part."""

TIME_BARRED_NOTICE = (
    "The law limits how long you can be sued on a debt. Because of the age of this debt, we will not sue you for it."
)
"""12 CFR 1006.26(b) forbids the suit; this says so to a consumer whose debt is time-barred."""

_VALIDATION = {
    "collector": (
        "{agency} is a debt collector. We are trying to collect a debt that you owe to {current_creditor}. "
        "We will use any information you give us to help collect the debt."
    ),
    "debt": (
        "Our information shows: You had an account from {original_creditor} with account number {reference}. "
        "The creditor to whom the debt is owed now is {current_creditor}."
    ),
    "itemization": (
        "As of {itemization_on}, the principal was {principal}. Between {itemization_on} and today you were charged "
        "{interest} in interest and {fees} in fees, and you paid or were credited {payments} toward the debt. "
        "Total amount of the debt now: {balance}."
    ),
    "dispute": (
        "Call or write to us by {validation_ends_on} to dispute all or part of the debt. If you do not, we will assume "
        "that our information is correct. If you write to us by {validation_ends_on}, we must stop collection on any "
        "amount you dispute until we send you information that shows you owe the debt."
    ),
    "original_creditor": (
        "Write to ask for the name and address of the original creditor, if different from the current creditor. "
        "If you write by {validation_ends_on}, we must stop collection until we send you that information."
    ),
    "rights": "Learn more about your rights under federal law at https://www.cfpb.gov/debt-collection.",
    "contact": "You can reach us at: {agency}, {address}, {phone}, {website}.",
}

RIGHTS_URL = "https://www.cfpb.gov/debt-collection"
"""The one link that belongs neither to the agency nor to the opt-out."""


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


def validation_notice(facts: AccountFacts) -> tuple[Disclosure, ...]:
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
        for name, text in _VALIDATION.items()
    )


def required_disclosures(facts: AccountFacts, purpose: Purpose, today: str) -> tuple[Disclosure, ...]:
    """Every text that an email for this purpose must carry word for word, in the order in which it is usually set.

    `today` is a day of the calendar as text. Raises `ValueError` as `validation_notice` does, for an initial notice.
    """
    texts: list[Disclosure] = []
    if purpose == "initial_notice":
        texts += validation_notice(facts)
    if facts.history.contacted_before is False:
        texts.append(Disclosure(rule="R10", name="first disclosure", text=FIRST_CONTACT_DISCLOSURE))
    else:
        texts.append(Disclosure(rule="R10", name="later disclosure", text=LATER_CONTACT))
    if is_time_barred(facts, today):
        texts.append(Disclosure(rule="R13", name="time-barred debt", text=TIME_BARRED_NOTICE))
    texts.append(Disclosure(rule="R06", name="opt-out", text=OPT_OUT_NOTICE))
    texts.append(Disclosure(rule="R17", name="postal address", text=f"{facts.agency.name}, {facts.agency.address}"))
    return tuple(texts)

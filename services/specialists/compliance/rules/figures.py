"""The rule about figures: amounts, dates and creditors in an email equal the ledger."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal

from services.specialists.compliance.email_text.characters import fold_text
from services.specialists.compliance.email_text.drafted_text import (
    agency_names,
    agency_phone,
    find_placeholders,
    foreign_sentences,
    split_link,
    without_consumer,
)
from services.specialists.compliance.email_text.figures import TextFigures, read_figures
from services.specialists.compliance.email_text.lexicon import remove_phrases
from services.specialists.compliance.email_text.message import URL, ParsedEmail
from services.specialists.compliance.email_text.organisations import unknown_organisations
from services.specialists.compliance.rules.rule import (
    DraftProblem,
    RuleInput,
    RuleVerdict,
    blocks,
    blocks_for,
    passes,
    unknown,
)

_REST_OF_SENTENCE = re.compile(r"(?:[^.!?]|\.\d){0,200}")
_OTHERWISE = re.compile(r"\b(?:principal|interest|fees?|paid|payments?|accept|offer|offers|settle|instead|take)\b")
_BALANCE = re.compile(r"\b(?:balance|you\s+owe|amount\s+(?:due|owed)|total)\b", re.IGNORECASE)


def check_figures(situation: RuleInput) -> RuleVerdict:
    """12 CFR 1006.18(b)-(c), 1006.22(b): amounts, dates and creditors equal the ledger; no unauthorised fee.

    An allow-list: anything with digits that is neither in the ledger nor the agency's own blocks. So do an amount in
    words, an ambiguous form, hidden text, a character that looks like another one, and a difference between the parts.
    What an amount is *called* is checked for the balance only; the judge scores the rest.
    """
    ledger = situation.facts.ledger
    if agency_phone(situation.facts) is None:
        return unknown("agency.phone")
    if split_link(situation.facts.agency.website) is None:
        return unknown("agency.website")
    if Decimal(ledger.fees) > 0 and not ledger.fees_authorised:
        broken = "the ledger has fees that neither the agreement nor the law authorises"
        return unknown("ledger.fees_authorised") if ledger.fees_authorised is None else blocks(broken)
    total = Decimal(ledger.principal) + Decimal(ledger.interest) + Decimal(ledger.fees) - Decimal(ledger.payments)
    if total != Decimal(ledger.balance):
        return blocks("the ledger does not add up: principal + interest + fees - payments is not the balance")
    if situation.message is None:
        return passes("the ledger adds up")
    return blocks_for(list(_problems(situation)), fine="every figure and name is the ledger's, in both parts")


def _problems(situation: RuleInput) -> Iterator[DraftProblem]:
    message, ledger = situation.draft, situation.facts.ledger
    for obstacle in message.obstacles:
        yield DraftProblem(f"the email may not be read as it is checked: {obstacle}", f"avoid {obstacle}")
    known = (ledger.original_creditor, ledger.current_creditor, *agency_names(situation.facts))
    for where, part in situation.parts.items():
        yield from _figures(situation, where, situation.figures[where])
        for placeholder in find_placeholders(part, ledger.reference):
            yield DraftProblem(f"the placeholder {placeholder!r} in the {where}", "leave out every placeholder")
        for name in unknown_organisations(without_consumer(part, situation.facts), known):
            fix = f"name no organisation but {', '.join(sorted(set(known)))}"
            yield DraftProblem(f"the {where} names {name!r}", fix)
        yield from _balance(situation, where, part)
    yield from _words(situation)
    yield from _agreement(message, situation)


def _words(situation: RuleInput) -> Iterator[DraftProblem]:
    """Figures, dates, shares, charges and offers in words, and sentences that the word lists cannot read."""
    kinds = {
        "fee": "a charge that the ledger does not have",
        "relative_date": "a date that the ledger does not have",
        "number_word": "a number in words",
        "share": "a share or a multiple in words",
        "offer": "an offer that the creditor did not authorise",
    }
    lists = [name for name in kinds if name != "offer" or not situation.email_purpose.offer]
    for term, name, where in situation.listed_terms(*lists):
        yield DraftProblem(f"{term!r} in the {where} is {kinds[name]}", f"leave out {term!r}")
    most = situation.pack.email.max_unknown_percent / 100
    for where, text in situation.own_text.items():
        for sentence in foreign_sentences(text, most):
            yield DraftProblem(f"the {where} is not in English: {sentence[:60]!r}", "write in English only")


def _figures(situation: RuleInput, where: str, figures: TextFigures) -> Iterator[DraftProblem]:
    amounts, days = _amounts(situation), _days(situation)
    for amount in figures.amounts:
        if amount.value is None:
            yield DraftProblem(f"{amount.text!r} in the {where}", "write amounts as the ledger does, like $1,234.50")
        elif amount.value not in amounts:
            yield DraftProblem(f"{amount.text!r} in the {where} is not in the ledger", "use the ledger's amounts only")
    for date in figures.dates:
        if not any(date.is_day(day) for day in days):
            yield DraftProblem(f"{date.text!r} in the {where} is not in the ledger", "use the ledger's dates only")
    for other in figures.others:
        yield DraftProblem(f"{other[:40]!r} in the {where} is no figure of the ledger", "leave out every other number")
    if situation.email_purpose.offer:
        for offer in situation.facts.ledger.offers:
            offered = any(amount.value == offer.amount for amount in figures.amounts)
            if offered and not any(date.is_day(offer.due_on) for date in figures.dates):
                fix = f"say that it is due on {offer.due_on}"
                yield DraftProblem(f"the {where} makes an offer without its date", fix)


def _amounts(situation: RuleInput) -> set[str]:
    ledger = situation.facts.ledger
    amounts = {ledger.balance, ledger.principal, ledger.interest, ledger.fees, ledger.payments, ledger.last_payment}
    if situation.email_purpose.offer:
        amounts |= {offer.amount for offer in ledger.offers}
    return {amount for amount in amounts if amount is not None}


def _days(situation: RuleInput) -> set[str]:
    ledger, history = situation.facts.ledger, situation.facts.history
    days = {ledger.itemization_on, ledger.last_payment_on, history.validation_notice_on, history.validation_ends_on}
    if situation.email_purpose.offer:
        days |= {offer.due_on for offer in ledger.offers}
    return {day for day in days if day is not None}


def _balance(situation: RuleInput, where: str, part: str) -> Iterator[DraftProblem]:
    """An amount that is called the balance must be the balance. Required texts name other amounts and are skipped."""
    lowered = remove_phrases(part, (text.text for text in situation.required_texts))
    balance = situation.facts.ledger.balance
    for label in _BALANCE.finditer(lowered):
        sentence = _REST_OF_SENTENCE.match(lowered, label.end())
        rest = sentence[0] if sentence else ""
        amounts = read_figures(rest).amounts
        # "The balance is made of: principal …" is about another amount.
        if amounts and amounts[0].value != balance and not _OTHERWISE.search(rest[: amounts[0].start]):
            yield DraftProblem(f"the {where} calls an amount the balance that is not", f"the balance is {balance}")


def _agreement(message: ParsedEmail, situation: RuleInput) -> Iterator[DraftProblem]:
    """The text and the HTML part must agree: the same words in the same order, links left out."""
    ours, theirs = situation.figures["text part"], situation.figures["HTML part"]
    amounts = [Counter(each.value for each in figures.amounts) for figures in (ours, theirs)]
    days = [Counter((each.month, each.day) for each in figures.dates) for figures in (ours, theirs)]
    if amounts[0] != amounts[1] or days[0] != days[1]:
        yield DraftProblem("the text and the HTML part have different figures", "say the same in both parts")
    words = [re.findall(r"[a-z0-9']+", fold_text(URL.sub(" ", each))) for each in (message.text, message.html)]
    if words[0] != words[1]:
        at = next((n for n, pair in enumerate(zip(*words, strict=False)) if pair[0] != pair[1]), min(map(len, words)))
        ours_there, theirs_there = (" ".join(each[at : at + 4]) or "nothing" for each in words)
        what = f"the text part says {ours_there!r} where the HTML part says {theirs_there!r}"
        yield DraftProblem(what, "say the same, word for word, in both parts")

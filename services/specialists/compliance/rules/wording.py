"""What the draft rules share: the required texts, and what is left of a draft without them."""

from __future__ import annotations

import re

import phonenumbers

from contracts.disclosures import Disclosure, required
from services.specialists.compliance.reading.characters import plain
from services.specialists.compliance.reading.lexicon import found_in, without
from services.specialists.compliance.reading.message import Message
from services.specialists.compliance.rules.rule import Problem, Situation

_LINK = re.compile(r"\b(?:https?|ftp|mailto|tel):\S+|\bwww\.\S+|[\w.+%'-]+@[\w-]+(?:\.[\w-]+)+", re.IGNORECASE)


def draft(situation: Situation) -> Message:
    """The draft. Raises `ValueError` if a rule about drafts is asked before there is one."""
    if situation.message is None:
        raise ValueError("this rule is about a draft, and there is none at this stage")
    return situation.message


def texts(situation: Situation) -> tuple[Disclosure, ...]:
    """The required texts; without those of a validation notice whose end nobody knows (R11 says so)."""
    facts, today = situation.facts, situation.today.isoformat()
    try:
        return required(facts, situation.purpose, today)
    except ValueError:
        return required(facts, "payment_reminder", today)


def missing(situation: Situation, rule: str) -> list[Problem]:
    """A problem for each required text of a rule that a part of the draft does not carry word for word."""
    message = draft(situation)
    parts = {"text part": plain(message.text), "HTML part": plain(message.html)}
    return [
        Problem(f"the {where} lacks the {text.name}", f"carry this text word for word in both parts: {text.text}")
        for text in texts(situation)
        if text.rule == rule
        for where, part in parts.items()
        if plain(text.text) not in part
    ]


def own_words(situation: Situation) -> dict[str, str]:
    """Each part in folded form, without the required texts, links and names: what the drafter chose to say."""
    ledger, agency, consumer = situation.facts.ledger, situation.facts.agency, situation.facts.consumer
    names = [ledger.original_creditor, ledger.current_creditor, agency.name, agency.address]
    names += [f"{consumer.first_name} {consumer.last_name}", consumer.first_name, consumer.last_name]
    phrases = [*(text.text for text in texts(situation)), *names]
    # The required texts may hold links, so they go first.
    return {where: _LINK.sub(" ", without(part, phrases)) for where, part in draft(situation).parts.items()}


def said(situation: Situation, *lists: str) -> list[tuple[str, str, str]]:
    """(term, list, place) for each term of the pack's word lists that the draft uses in its own words."""
    return [
        (term, name, where)
        for where, part in own_words(situation).items()
        for name in lists
        for term in found_in(part, situation.pack.lexicon[name])
    ]


def without_known_numbers(text: str, situation: Situation) -> str:
    """A part without what may hold digits: links, the agency's address and telephone, names, the account's number."""
    facts = situation.facts
    text = _LINK.sub(" ", plain(text))
    known = [facts.agency.address, facts.agency.name, facts.ledger.original_creditor, facts.ledger.current_creditor]
    for phrase in sorted({plain(each) for each in known}, key=len, reverse=True):
        text = re.sub(rf"(?<![\w$]){re.escape(phrase)}(?!\w)", " ", text, flags=re.IGNORECASE)
    # Only where it is called a number: "1200" alone could be an amount.
    text = re.sub(
        rf"(?i)\b(account|acct|reference|ref|file|number|no)\b([\s.:#]*(?:number|no)?[\s.:#]*){re.escape(facts.ledger.reference)}(?![\w.,]*\d)",
        " ",
        text,
    )
    phone = phonenumbers.parse(facts.agency.phone)
    for found in sorted(phonenumbers.PhoneNumberMatcher(text, "US"), key=lambda each: -each.start):
        if (found.number.country_code, found.number.national_number) == (phone.country_code, phone.national_number):
            text = f"{text[: found.start]} {text[found.end :]}"
    return text.replace(facts.agency.phone, " ")

"""What is left of a part when the required and the known is taken out: what the drafter chose to say."""

from __future__ import annotations

import re
from collections.abc import Iterable

import phonenumbers

from contracts.documents.accounts import AccountFacts
from services.specialists.compliance.email_text.characters import normalize_text
from services.specialists.compliance.email_text.lexicon import remove_phrases

_LINK = re.compile(r"\b(?:https?|ftp|mailto|tel):\S+|\bwww\.\S+|[\w.+%'-]+@[\w-]+(?:\.[\w-]+)+", re.IGNORECASE)


def own_words(part: str, required: Iterable[str], facts: AccountFacts) -> str:
    """A part in folded form, without the required texts, links and names."""
    ledger, agency, consumer = facts.ledger, facts.agency, facts.consumer
    names = [ledger.original_creditor, ledger.current_creditor, agency.name, agency.address]
    names += [f"{consumer.first_name} {consumer.last_name}", consumer.first_name, consumer.last_name]
    # The required texts may hold links, so they go first.
    return _LINK.sub(" ", remove_phrases(part, [*required, *names]))


def without_known_numbers(part: str, facts: AccountFacts) -> str:
    """A part without what may hold digits: links, the agency's address and telephone, names, the account's number."""
    text = _LINK.sub(" ", normalize_text(part))
    known = {facts.agency.address, facts.agency.name, facts.ledger.original_creditor, facts.ledger.current_creditor}
    for phrase in sorted(map(normalize_text, known), key=len, reverse=True):
        text = re.sub(rf"(?<![\w$]){re.escape(phrase)}(?!\w)", " ", text, flags=re.IGNORECASE)
    reference = facts.ledger.reference
    if not reference.replace("-", "").isdigit():
        text = re.sub(rf"(?<![\w$]){re.escape(reference)}(?!\w)", " ", text)
    # All digits: only where it is called a number, for "1200" alone could be an amount.
    number = rf"{re.escape(reference)}(?![\w.,]*\d)"
    text = re.sub(
        rf"(?i)\b(account|acct|reference|ref|file|number|no)\b((?:\W|\bnumber\b|\bno\b)*?){number}", " ", text
    )
    return _without_phone(text, facts.agency.phone)


def _without_phone(text: str, own: str) -> str:
    text = text.replace(own, " ")
    agency = phonenumbers.parse(own)
    for found in sorted(phonenumbers.PhoneNumberMatcher(text, "US"), key=lambda each: -each.start):
        same = (found.number.country_code, found.number.national_number)
        if same == (agency.country_code, agency.national_number):
            text = f"{text[: found.start]} {text[found.end :]}"
    return text

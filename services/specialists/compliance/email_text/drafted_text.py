"""The drafter's own text: a part of the email less the required texts and the facts on file."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import SplitResult, urlsplit

import phonenumbers
from simplemma import is_known

from contracts.documents.accounts import AccountFacts
from services.specialists.compliance.email_text.characters import normalize_text
from services.specialists.compliance.email_text.figures import without_written_dates
from services.specialists.compliance.email_text.lexicon import GAP, remove_phrases

_LINK = re.compile(r"\b(?:https?|ftp|mailto|tel):\S+|\bwww\.\S+|[\w.+%'-]+@[\w-]+(?:\.[\w-]+)+", re.IGNORECASE)
_OTHER_NAME = re.compile(
    r",?\s+(?:doing business as|d/b/a|dba|formerly(?: known as)?|also known as|a/k/a)\s+", re.IGNORECASE
)
_SALUTATION = (
    r"(?:\b(?:[Dd]ear|[Hh]ello|[Hh]i|[Tt]hanks|[Tt]hank you|[Gg]ood (?:morning|afternoon|evening)|Mr|Mrs|Ms|Miss|Mx|Dr)"
    r"\b[.,]?\s+)"
)
_PLACEHOLDER = re.compile(
    r"\[[^\]\n]{0,80}\]|[{}]|\$[A-Z_]{2,}|%[A-Za-z_]{2,40}%|<[^<>\n]{1,40}>|_{3,}|\.{5,}"
    r"|\b(?:TBA|TBC|TBD|TODO|FIXME|PLACEHOLDER|X{3,}|x{4,}|YYYY|NaN|NULL|[Uu]ndefined|[Ll]orem|[Ii]psum|[Aa]sdf\w*)\b"
    r"|(?<=[a-z,] )(?:None|null)\b|\b[Ii](?:nsert|NSERT)\b.{0,40}\b(?:[Hh]ere|HERE)\b"
    r"|\byour (?:name|company|signature) here\b|@@|#[A-Za-z_]{2,}#|"
    r"__[A-Za-z_]+__|\*\|[^|\n]{1,40}\|\*|\|\*[^|\n]{1,40}\*\||\([Ii]nsert [^)]{0,40}\)|\bN/A\b"
    r"|\b(?:FIRST|LAST|FULL|CUSTOMER|CONSUMER|CLIENT)[_ ]?NAME\b"
)
_WORDS = re.compile(r"[a-z']{2,}")


def agency_names(facts: AccountFacts) -> tuple[str, ...]:
    """The agency's name, and each name of one that does business under several."""
    return tuple(dict.fromkeys((facts.agency.name, *_OTHER_NAME.split(facts.agency.name))))


def own_words(part: str, required: Iterable[str], facts: AccountFacts) -> str:
    """A part in folded form, without the required texts, links, names, and dates in digits."""
    ledger, agency = facts.ledger, facts.agency
    names = [ledger.original_creditor, ledger.current_creditor, *agency_names(facts), agency.address]
    # The required texts may contain links, so they are removed first.
    left = _LINK.sub(f" {GAP} ", remove_phrases(without_consumer(part, facts), [*required, *names]))
    return without_written_dates(left, GAP)


def without_consumer(text: str, facts: AccountFacts) -> str:
    """A text without the consumer's name: the full name as it is on file, and one of the names in a salutation.

    A name may be a word of the lists, such as Sue or Loan, so one that stands alone is not removed.
    """
    text = normalize_text(text)
    first, last = normalize_text(facts.consumer.first_name), normalize_text(facts.consumer.last_name)
    either = f"(?:{re.escape(first)}|{re.escape(last)})"
    full = "|".join(re.escape(each) for each in (f"{first} {last}", f"{first} {last}".upper()))
    text = re.sub(rf"(?<!\w)(?:{full})(?!\w)", GAP, text)
    text = re.sub(rf"(?:^|(?<=[.!?,] )){either}(?=[,.!?])", GAP, text)
    return re.sub(rf"(?P<salutation>{_SALUTATION}){either}(?!\w)", rf"\g<salutation>{GAP}", text)


def find_placeholders(part: str, reference: str) -> tuple[str, ...]:
    """What was to be replaced before the email was written: `[NAME]`, `{{amount}}`, `____`, `TBD`. The account's
    reference may look like one."""
    text = normalize_text(part).replace(reference, " ")
    return tuple(dict.fromkeys(found[0][:40] for found in _PLACEHOLDER.finditer(text)))


def foreign_sentences(folded: str, unknown_share: float) -> tuple[str, ...]:
    """The sentences of an own text in which more than a share of the words is not English."""
    found = []
    for sentence in re.split(r"[.!?]", folded):
        words = [bare for word in _WORDS.findall(sentence) if word != GAP and (bare := word.strip("'"))]
        if len(words) >= 4 and sum(not is_known(each, lang="en") for each in words) > unknown_share * len(words):
            found.append(sentence.strip())
    return tuple(found)


def agency_phone(facts: AccountFacts) -> phonenumbers.PhoneNumber | None:
    """The agency's telephone number, or None if it is no number."""
    try:
        return phonenumbers.parse(facts.agency.phone)
    except phonenumbers.NumberParseException:
        return None


def split_link(link: str) -> SplitResult | None:
    """The parts of a link, or None if it is no link: `https://[website]/pay`."""
    try:
        parts = urlsplit(link)
        _ = parts.hostname, parts.port
    except ValueError:
        return None
    return parts


def without_known_numbers(part: str, facts: AccountFacts) -> str:
    """A part less everything on file with digits: links, the agency's address and telephone, names, account number."""
    text = _LINK.sub(" ", without_consumer(part, facts))
    known = {facts.agency.address, *agency_names(facts), facts.ledger.original_creditor, facts.ledger.current_creditor}
    for phrase in sorted(map(normalize_text, known), key=len, reverse=True):
        text = re.sub(rf"(?<![\w$]){re.escape(phrase)}(?!\w)", " ", text, flags=re.IGNORECASE)
    reference = facts.ledger.reference
    if not reference.replace("-", "").isdigit():
        text = re.sub(rf"(?<![\w$]){re.escape(reference)}(?!\w)", " ", text)
    # Only digits: removed where it is called a number, because "1200" alone could be an amount.
    number = rf"{re.escape(reference)}(?![\w.,]*\d)"
    text = re.sub(
        rf"(?i)\b(account|acct|reference|ref|file|number|no)\b((?:\W|\bnumber\b|\bno\b)*?){number}", " ", text
    )
    if (ending := re.search(r"\d{4}$", reference)) is not None:
        called = r"(?i)\b((?:account|acct)(?:\s+number)?\s+(?:that\s+)?(?:ends|ending)\s+(?:in|with))\s+"
        text = re.sub(rf"{called}{ending[0]}(?![\w.,]*\d)", r"\1", text)
    return _without_phone(text, facts)


def _without_phone(text: str, facts: AccountFacts) -> str:
    text = text.replace(facts.agency.phone, " ")
    agency = agency_phone(facts)
    if agency is None:
        return text
    for found in sorted(phonenumbers.PhoneNumberMatcher(text, "US"), key=lambda each: -each.start):
        same = (found.number.country_code, found.number.national_number)
        if same == (agency.country_code, agency.national_number):
            text = f"{text[: found.start]} {text[found.end :]}"
    return text

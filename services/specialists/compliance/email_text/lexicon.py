"""Finds listed words in a text, in any case and in common disguises, and names of organisations not on file."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

from services.specialists.compliance.email_text.characters import fold_text, normalize_text
from services.specialists.compliance.pack import WordList

_DISGUISES = {
    "a": "a4@", "b": "b8", "e": "e3", "g": "g9", "i": "i1!|", "l": "l1|", "o": "o0", "s": "s5$", "t": "t7+", "z": "z2",
}  # fmt: skip
_GAP = "qxq"
"""Replaces a removed phrase, so that the words around it do not become one phrase."""

_SPACERS = r"[ .\-_*/,]"


def find_terms(text: str, words: WordList) -> tuple[str, ...]:
    """The terms of a list that a text contains, each once, less those in a harmless phrase."""
    return find_folded_terms(fold_text(text), words)


def find_folded_terms(lowered: str, words: WordList) -> tuple[str, ...]:
    """The same for a text that is folded already."""
    for phrase in words.unless:
        lowered = lowered.replace(phrase, " ")
    return tuple(term for term in words.terms if any(_wordlike(each[0]) for each in _pattern(term).finditer(lowered)))


def remove_phrases(text: str, phrases: Iterable[str]) -> str:
    """The folded text less some phrases, such as names and required texts."""
    lowered = fold_text(text)
    for phrase in sorted({fold_text(each) for each in phrases} - {""}, key=len, reverse=True):
        lowered = re.sub(rf"(?<![a-z0-9]){re.escape(phrase)}(?![a-z0-9])", f" {_GAP} ", lowered)
    return lowered


def _wordlike(text: str) -> bool:
    # "a55" is a disguise, "455" is a number.
    return any(each.isalpha() for each in text)


@cache
def _pattern(term: str) -> re.Pattern[str]:
    words = [word for word in re.split(r"[^a-z0-9']+", fold_text(term)) if word]
    together = r"[\W_]+".join("".join(_shape(each) for each in word) for word in words)
    forms = [together]
    letters = "".join(words).replace("'", "")
    if len(letters) >= 3:
        # Spaced out, like "p.a.y" or "j a i l": every gap needs a spacer, so "cash it" is not a disguise.
        forms.append((_SPACERS + "{1,3}").join(_shape(each, more="") for each in letters))
    return re.compile(rf"(?<![a-z0-9])(?:{'|'.join(forms)})(?![a-z0-9])")


def _shape(character: str, *, more: str = "{1,3}") -> str:
    disguises = _DISGUISES.get(character)
    shape = f"[{re.escape(disguises)}]" if disguises else re.escape(character)
    return shape + (more if character.isalpha() else "")


_WORD = r"[A-Z][\w&.'-]*"
_KINDS = (
    "Bank|Bancorp|Banc|Capital|Card Services|Collections?|Corp(?:oration)?|Credit|Credit Union|Finance|Financial|"
    "Funding|Group|Holdings|Hospital|Inc|LLC|L\\.L\\.C|LLP|Law Firm|Law Group|Lending|Loans?|Ltd|Management|"
    "Medical Center|Mortgage|N\\.A|Partners|PLLC|Receivables?|Recovery|Savings|Solutions|Trust|Utilities|Wireless"
)
_BY_KIND = re.compile(rf"\b(?:{_WORD},?\s+(?:(?:of|and|&|the)\s+)?){{1,6}}(?:{_KINDS})\b")
_BY_ROLE = re.compile(
    r"(?i:\b(?:owed?|owing|payable|debt)\s+to|\bcreditors?(?:\s+is)?\s*:?|\bon\s+behalf\s+of|"
    r"\baccount\s+(?:with|from|at)|\b(?:sold|assigned|transferred|placed)\s+(?:by|to|with|from)|\bclient\s*:?)"
    rf"\s+((?:{_WORD}\s*){{1,6}})"
)
_NOT_NAMES = frozenset(
    {"We", "You", "Us", "The", "Your", "This", "If", "I", "A", "An", "Or", "Please", "Write", "Call"}
)
_KNOWN = "\u00a7"
"""Replaces a known name; it occurs in no name."""


def unknown_organisations(text: str, known: Iterable[str]) -> tuple[str, ...]:
    """Names that look like an organisation, or follow words such as "owed to", and are not `known`."""
    left = normalize_text(text)
    for name in sorted({normalize_text(each) for each in known}, key=len, reverse=True):
        left = re.sub(rf"(?<!\w){re.escape(name.rstrip('.'))}\.?(?!\w)", _KNOWN, left, flags=re.IGNORECASE)
    found = [each[0] for each in _BY_KIND.finditer(left)]
    found += [each[1].strip() for each in _BY_ROLE.finditer(left) if each[1].split()[0].rstrip(".,'") not in _NOT_NAMES]
    return tuple(dict.fromkeys(found))

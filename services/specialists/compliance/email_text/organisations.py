"""Names of organisations that are not on file."""

from __future__ import annotations

import re
from collections.abc import Iterable

from services.specialists.compliance.email_text.characters import normalize_text

_WORD = r"[A-Z][\w&.'-]*"
_KINDS = (
    "Bank|Bancorp|Banc|Capital|Card Services|(?:Store|Credit|Rewards) Card|"
    "Collections?|Corp(?:oration)?|Credit|Credit Union|Finance|Financial|"
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
_LEGAL_FORM = re.compile(r",? (?:Inc|LLC|L\.L\.C|LLP|Ltd|PLLC|Corp|Corporation|N\.A)\.?$")
"""May be left out of a name: "the Harborline Recovery team"."""
_KNOWN = "\u00a7"
"""Replaces a known name; it occurs in no name."""


def unknown_organisations(text: str, known: Iterable[str]) -> tuple[str, ...]:
    """Names that look like an organisation, or follow words such as "owed to", and are not `known`."""
    left = normalize_text(text)
    names = {normalize_text(each) for each in known}
    for name in sorted(names | {_LEGAL_FORM.sub("", each) for each in names}, key=len, reverse=True):
        left = re.sub(rf"(?<!\w){re.escape(name.rstrip('.'))}\.?(?!\w)", _KNOWN, left, flags=re.IGNORECASE)
    found = [each[0] for each in _BY_KIND.finditer(left)]
    found += [each[1].strip() for each in _BY_ROLE.finditer(left) if each[1].split()[0].rstrip(".,'") not in _NOT_NAMES]
    return tuple(dict.fromkeys(found))

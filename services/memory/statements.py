"""What a user says of themselves in a question, by rules. Pure.

Only their own words count: what they quote, paste as a table or put in a code block is not theirs. Each value is a part
of the question, word for word; a slot's value is then given its one spelling.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

NOTE = "note"
MAX_VALUE_CHARS = 300


@dataclass(frozen=True)
class Slot:
    """A fact with one value per user. `spellings` maps what they may say, in lower case, to how it is kept; without any
    it is kept as it was said."""

    about: str
    patterns: tuple[str, ...]
    spellings: dict[str, str]


_UNITS = {
    **dict.fromkeys(("metric", "si", "cubic metres", "cubic meters", "m3"), "metric"),
    **dict.fromkeys(("field", "oil-field", "oilfield", "imperial", "barrels", "bbl"), "field"),
}
_BASINS = {name.lower(): name for name in ("Permian", "Eagle Ford", "Williston", "DJ", "Anadarko")}
_UNIT, _BASIN = ("|".join(sorted(map(re.escape, words), key=len, reverse=True)) for words in (_UNITS, _BASINS))
_WELL = r"[A-Z][\w']*(?: [A-Z][\w']*)* \d+H"

SLOTS = {
    "preferred_units": Slot(
        "the units in which answers are given: metric or field",
        (
            rf"\bI (?:prefer|always want|now prefer|want to see) (?:volumes in )?(?P<value>{_UNIT})\b",
            rf"\b(?:always|from now on|in future),? (?:use|show|give|answer)\b[^.?!]{{0,30}}?\b(?P<value>{_UNIT})\b",
        ),
        _UNITS,
    ),
    "basin": Slot(
        "the basin that the user works in",
        (
            rf"\bI (?:now )?(?:work|am based) in the (?P<value>{_BASIN})\b",
            rf"\bmy basin is (?:now )?(?:the )?(?P<value>{_BASIN})\b",
        ),
        _BASINS,
    ),
    "favourite_wells": Slot(
        "the wells that the user calls theirs",
        (rf"\b[Mm]y (?:favou?rite )?wells are (?:the )?(?P<value>{_WELL}(?:(?:, | and |, and )(?:the )?{_WELL})*)",),
        {},
    ),
}
_NOTE = re.compile(r"\b(?:remember|note|keep in mind)(?: that\b|:)\s*(?P<value>[^.?!\n]{3,300})", re.IGNORECASE)
_TRIGGER = re.compile(r"\b(remember|from now on|in future|always|i prefer|my)\b", re.IGNORECASE)
_ORDER = re.compile(
    r"\b(ignore|disregard|instructions?|prompt|password|token|secret|credential|approv\w+|permission|authori[sz]\w+|"
    r"grant\w*|admin\w*|bypass|overrid\w+|pretend|always answer|never (?:say|tell|answer|refuse)|"
    r"you (?:must|should|are|will|can)|delete|drop table|system|role)\b",
    re.IGNORECASE,
)
"""Words of an order or of an authority: a memory that has one is kept apart."""

_NOT_THEIRS = re.compile(r"```.*?(?:```|$)|\"[^\"]*\"|“[^”]*”|«[^»]*»|(?<!\w)'[^'\n]{3,}'(?!\w)", re.DOTALL)


@dataclass(frozen=True)
class Statement:
    """One thing to remember. `trust` says who read it: a rule, or a model."""

    kind: Literal["slot", "note"]
    predicate: str
    value: str
    trust: Literal["stated", "read"] = "stated"

    @property
    def quarantined(self) -> bool:
        """Whether it reads like an order or claims an authority."""
        # Disguised letters are no way around the list: a value with any is kept apart for them alone.
        plain = unicodedata.normalize("NFKC", self.value)
        return _ORDER.search(plain) is not None or any(map(_is_disguise, plain.split()))


def _is_disguise(word: str) -> bool:
    """Whether a word has invisible characters, marks or letters of another script among its Latin ones, or is spelt
    letter by letter: `p.a.s.s.w.o.r.d`."""
    kinds = {unicodedata.category(each) for each in word}
    scripts = {unicodedata.name(each, "?").split()[0] for each in word if each.isalpha()}
    apart = re.search(r"(?:[^\W\d_][\W_]){4,}", word) is not None
    return not kinds.isdisjoint({"Cf", "Cc", "Co", "Cn", "Mn", "Me"}) or len(scripts) > 1 or apart


def own_words(question: str) -> str:
    """The question without what is quoted or pasted: code blocks, quotations, quoted lines and rows of a table."""
    lines = _NOT_THEIRS.sub(" ", question).splitlines()
    return "\n".join(line for line in lines if not (line.lstrip().startswith((">", "|")) or _is_row(line, len(lines))))


def _is_row(line: str, lines: int) -> bool:
    return "\t" in line or (lines > 1 and (line.count(",") >= 2 or line.count(";") >= 2 or line.count("|") >= 2))


def read_statements(question: str) -> list[Statement]:
    """What the rules find, at most one value per slot: the last, which corrects the earlier ones."""
    words = own_words(question)
    found: list[Statement | None] = []
    for name, slot in SLOTS.items():
        values = [match for pattern in slot.patterns for match in re.finditer(pattern, words, flags=_flags(slot))]
        latest = sorted(values, key=lambda match: match.start())[-1:]
        found.extend(slot_statement(name, match["value"]) for match in latest)
    found += [Statement("note", NOTE, match["value"].strip()) for match in _NOTE.finditer(words)]
    return [each for each in found if each is not None]


def may_ask_to_remember(question: str) -> bool:
    """Whether a model is worth asking, where no rule found anything."""
    return _TRIGGER.search(own_words(question)) is not None


def slot_statement(name: str, value: str, *, trust: Literal["stated", "read"] = "stated") -> Statement | None:
    """A slot's value in its one spelling; None for any other."""
    slot = SLOTS[name]
    kept = slot.spellings.get(" ".join(value.lower().split())) if slot.spellings else value.strip()
    return None if kept is None else Statement("slot", name, kept, trust)


def verbatim(question: str, value: str) -> bool:
    """Whether the user said this, word for word."""
    words = " ".join(own_words(question).lower().split())
    wanted = " ".join(value.lower().split())
    return 0 < len(wanted) <= MAX_VALUE_CHARS and re.search(rf"(?<!\w){re.escape(wanted)}(?!\w)", words) is not None


def _flags(slot: Slot) -> re.RegexFlag:
    return re.IGNORECASE if slot.spellings else re.NOFLAG

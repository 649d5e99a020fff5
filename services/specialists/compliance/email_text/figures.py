"""Every figure in digits in a text: amounts, dates, and anything else with digits. The pack lists figures in words.

Strict on purpose: a figure that two readers could read differently is not an amount but a problem.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from services.specialists.compliance.email_text.characters import normalize_text

_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
_MONTH = "|".join([*_MONTHS, *(month[:3] for month in _MONTHS), "sept"])
_DATE = re.compile(
    rf"\b(?P<month>{_MONTH})\b\.?\s+(?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?:,?\s+(?P<year>\d{{4}}))?(?![\d.,]*\d)"
    rf"|(?<![\w.,])(?P<day2>\d{{1,2}})(?:st|nd|rd|th)?\s+(?:of\s+)?(?P<month2>{_MONTH})\b\.?(?:,?\s+(?P<year2>\d{{4}}))?"
    r"|\b(?P<year3>\d{4})-(?P<month3>\d{2})-(?P<day3>\d{2})\b"
    r"|\b(?P<month4>\d{1,2})/(?P<day4>\d{1,2})(?:/(?P<year4>\d{4}|\d{2}))?\b",
    re.IGNORECASE,
)
_NUMBER = r"\d+(?:[.,']\d+|\s\d{3}(?!\d))*"
_MONEY = re.compile(
    rf"(?P<sign>(?:US\s?)?\$|\bUSD)\s?(?P<after>{_NUMBER})(?P<times>\s?(?:k|m|grand|hundred|thousand|million)\b)?"
    rf"|(?P<before>{_NUMBER})\s?(?P<unit>k\b|grand|(?:hundred|thousand|million)\b|(?:US\s)?dollars?\b|USD\b|bucks?\b|cents?\b|\$)",
    re.IGNORECASE,
)
_US_FORM = re.compile(r"^(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d{2})?$")
_HOUR = r"\d{1,2}(?::[0-5]\d)?\s?[ap]\.?\s?m\b\.?"
_OPENING_HOURS = re.compile(rf"\b{_HOUR}\s?(?:-|to|until|till|and)\s?{_HOUR}", re.IGNORECASE)
"""A range of hours; one hour alone could be a deadline."""


@dataclass(frozen=True)
class WrittenAmount:
    """An amount as written; `value` in the ledger's form, None if the form is ambiguous."""

    text: str
    value: str | None
    start: int


@dataclass(frozen=True)
class WrittenDate:
    """A date as written. `year` may be missing; a day that does not exist has neither month nor day."""

    text: str
    year: int | None
    month: int | None
    day: int | None

    def is_day(self, day: str) -> bool:
        """Whether it means this day and no other."""
        year, month, number = map(int, day.split("-"))
        return (self.month, self.day) == (month, number) and self.year in {None, year}


@dataclass(frozen=True)
class TextFigures:
    """The figures of a text, in its order."""

    amounts: tuple[WrittenAmount, ...]
    dates: tuple[WrittenDate, ...]
    others: tuple[str, ...]


def read_figures(text: str) -> TextFigures:
    """Every figure in digits of a text from which links and known numbers were removed."""
    text = normalize_text(text)
    text = _OPENING_HOURS.sub(" ", text)
    dates = tuple(_date(found) for found in _DATE.finditer(text))
    text = _DATE.sub(lambda found: " " * len(found[0]), text)
    amounts = tuple(_amount(found) for found in _MONEY.finditer(text))
    rest = _MONEY.sub(lambda found: " " * len(found[0]), text)
    return TextFigures(amounts, dates, tuple(re.findall(r"\S*\d\S*", rest)))


def without_written_dates(folded: str, gap: str) -> str:
    """A folded text with `gap` for each date and each range of hours in digits."""
    return _DATE.sub(f" {gap} ", _OPENING_HOURS.sub(f" {gap} ", folded))


def _amount(found: re.Match[str]) -> WrittenAmount:
    number = found["after"] or found["before"]
    clear = _US_FORM.match(number) is not None and not found["times"]
    if found["before"] is not None:
        # "50 cents" and "2k" are ways to hide an amount: only dollars after a number are clear.
        clear = clear and re.match(r"(?:US\s)?dollars?$|USD$", found["unit"], re.IGNORECASE) is not None
    if not clear:
        return WrittenAmount(found[0], None, found.start())
    whole, _, cents = number.replace(",", "").partition(".")
    return WrittenAmount(found[0], f"{int(whole)}.{cents or '00'}", found.start())


def _date(found: re.Match[str]) -> WrittenDate:
    given = {name.rstrip("234"): value for name, value in found.groupdict().items() if value is not None}
    year = int(given["year"]) if "year" in given else None
    if year is not None and year < 100:
        year += 2000
    month_text = given["month"].lower()
    month = int(month_text) if month_text.isdigit() else [each[:3] for each in _MONTHS].index(month_text[:3]) + 1
    day = int(given["day"])
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return WrittenDate(found[0], None, None, None)
    return WrittenDate(found[0], year, month, day)

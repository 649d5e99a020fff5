"""The rule pack: limits, words and policy that counsel decides, as dated data."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from functools import cache
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from contracts.documents.accounts import Money, Purpose
from contracts.documents.reviews import Score
from contracts.documents.wording import SHIPPED, Wording
from contracts.events.compliance import RuleId
from switchyard.protocol.errors import why_unreadable
from switchyard.protocol.fields import BasisPoints, PackVersion

PACKS_FOLDER = Path(__file__).parent / "packs"
RELEASED = "SHA256SUMS"
"""The file that lists a folder's released packs with their hashes, as `sha256sum` writes it."""

CRITERIA = ("accuracy", "not_misleading", "respectful", "clear_options", "fits_history", "readable")
"""The criteria of the rubric, in the order of the judge's output."""


class PackError(Exception):
    """A rule pack is invalid, or none is in force: release a corrected pack; a released pack is never edited."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FactsLimits(_Part):
    """Permitted age of facts."""

    max_age_hours: Annotated[int, Field(ge=1)]
    clock_skew_minutes: Annotated[int, Field(ge=0)]


class Timing(_Part):
    """When an email may be sent, in the consumer's local time, and for how long a check of the moment is valid."""

    earliest: time
    latest: time
    horizon_days: Annotated[int, Field(ge=8, le=60, description="Longer than a week, or a weekly pattern is missed.")]
    valid_minutes: Annotated[int, Field(ge=1, le=240)]


class AddressRules(_Part):
    """Limits for the origin of an address."""

    min_notice_days: Annotated[int, Field(ge=35)]
    prior_collector_days: Annotated[int, Field(ge=1)]
    free_mail: frozenset[str]


class Validation(_Part):
    """Periods of the validation notice."""

    days_after_first_contact: Annotated[int, Field(ge=0, le=5)]
    min_days: Annotated[int, Field(ge=37)]


class NewYorkCity(_Part):
    """Terms of R18."""

    effective_from: date
    max_contacts: Annotated[int, Field(ge=1)]
    days: Annotated[int, Field(ge=1)]
    prefixes: tuple[str, ...]
    postal_codes: frozenset[str]


class RecordRules(_Part):
    """Retention of verdicts."""

    years: Annotated[int, Field(ge=3)]


class EmailRules(_Part):
    """The form of an email in which a reader sees what was checked."""

    headers: frozenset[str]
    max_unknown_percent: Annotated[int, Field(ge=10, le=60, description="Of a sentence's words: more is no English.")]
    max_bytes: Annotated[int, Field(ge=10_000)]
    max_characters: Annotated[int, Field(ge=5_000, le=50_000, description="Of a part.")]
    max_word: Annotated[int, Field(ge=300, le=1_000, description="Characters without a blank: an opt-out link is one.")]
    min_font_px: Annotated[int, Field(ge=8)]


ListedPhrase = Annotated[
    str,
    Field(
        pattern=r"^(?:_|[a-z0-9']+\*?(?:\|[a-z0-9']+\*?)*)(?: (?:_|[a-z0-9']+\*?(?:\|[a-z0-9']+\*?)*))*$",
        description="In small ASCII letters, to which texts are folded: other letters would never be found.",
    ),
]


class WordList(_Part):
    """Phrases; `unless` lists phrases in which they are harmless.

    A word stands for its inflections, `a|b` for either, `a*` for every word that begins so, `_` for any one word.
    """

    terms: Annotated[tuple[ListedPhrase, ...], Field(min_length=1)]
    unless: tuple[ListedPhrase, ...] = ()


class Conduct(_Part):
    """The word lists that no email may use, and the lists about a suit."""

    forbidden: tuple[str, ...]
    suit: tuple[str, ...]


class CriterionRule(_Part):
    """A criterion's weight (of 100) and floor."""

    name: str
    weight: Score
    floor: Score


class ApprovalPolicy(_Part):
    """When an email that passed needs an approval."""

    purposes: frozenset[Purpose]
    first_contact: bool
    work_address: bool
    warnings: bool
    comfort_basis_points: BasisPoints
    amount_over: Money


class RulePack(_Part):
    """One rule pack."""

    version: PackVersion
    tenants: frozenset[str] = Field(default=frozenset(), description="Whose emails it is for; everybody's if empty.")
    effective_from: date
    disclosures: str
    wording: Wording = Field(default=SHIPPED, description="The texts whose version `disclosures` names.")
    facts: FactsLimits
    timing: Timing
    address: AddressRules
    validation: Validation
    new_york_city: NewYorkCity
    record: RecordRules
    email: EmailRules
    lexicon: dict[str, WordList]
    conduct: Conduct
    rubric: tuple[CriterionRule, ...]
    approval: ApprovalPolicy

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if tuple(criterion.name for criterion in self.rubric) != CRITERIA:
            raise ValueError(f"rubric: should have exactly {', '.join(CRITERIA)}, in this order")
        if sum(criterion.weight for criterion in self.rubric) != 100:
            raise ValueError("rubric: the weights should add up to 100")
        if self.rubric[0].floor < 80:
            raise ValueError("rubric: the floor of accuracy should be 80 or more")
        used = {*self.conduct.forbidden, *self.conduct.suit, *_USED_BY_RULES}
        if missing := used - set(self.lexicon):
            raise ValueError(f"lexicon: {', '.join(sorted(missing))} is missing, and the rules use it")
        if self.disclosures != self.wording.version:
            other = f"the wording in force has the version {self.wording.version}"
            raise ValueError(f"disclosures: {other}; release a pack that names it, or set SWITCHYARD_WORDING")
        for purpose in sorted(self.approval.purposes):
            if (problem := self.wording.unknown_purpose(purpose)) is not None:
                raise ValueError(f"approval.purposes: {problem}")
        return self

    def effective_from_of(self, rule: RuleId) -> date:
        """The first day on which a rule of this pack is in force."""
        return max(self.effective_from, self.new_york_city.effective_from) if rule == "R18" else self.effective_from

    @property
    def effective_dates(self) -> frozenset[date]:
        """The days on which this pack, or one of its rules, comes into force."""
        return frozenset({self.effective_from, self.effective_from_of("R18")})


_USED_BY_RULES = (
    "subject", "false_subject", "fee", "relative_date", "number_word", "share", "offer", "overshadowing",
)  # fmt: skip


def load_pack(path: Path, wording: Wording = SHIPPED) -> RulePack:
    """Read one pack, which goes with a wording. Raises `PackError`."""
    try:
        return RulePack.model_validate({**tomllib.loads(path.read_text(encoding="utf-8")), "wording": wording})
    except (OSError, ValueError, RecursionError) as error:
        raise PackError(f"{path.name}: {why_unreadable(error)}") from error


@cache
def released_packs(folder: Path = PACKS_FOLDER, wording: Wording = SHIPPED) -> tuple[RulePack, ...]:
    """The packs that a folder has released, the earliest first. Raises `PackError`, also for one that was edited."""
    packs: dict[str, RulePack] = {}
    try:
        lines = (folder / RELEASED).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise PackError(
            f"{folder / RELEASED} cannot be read: in the folder, run sha256sum *.toml > {RELEASED}"
        ) from error
    for line in filter(None, map(str.strip, lines)):
        digest, _, name = line.partition(" ")
        path = folder / name.strip(" *")
        pack = load_pack(path, wording)
        if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            raise PackError(f"{path.name} is not what was released: restore it, and release a new pack instead")
        if pack.version in packs:
            raise PackError(f"{path.name}: version {pack.version} is another pack's: choose a new one")
        packs[pack.version] = pack
    if not packs:
        raise PackError(f"{folder / RELEASED} lists no pack")
    return tuple(sorted(packs.values(), key=lambda pack: pack.effective_from))


def packs_for(packs: Sequence[RulePack], tenant: str) -> tuple[RulePack, ...]:
    """A tenant's packs: its own, and those for everybody that begin before the first of its own."""
    own = tuple(pack for pack in packs if tenant in pack.tenants)
    first = min((pack.effective_from for pack in own), default=date.max)
    return (*(pack for pack in packs if not pack.tenants and pack.effective_from < first), *own)


def newest_pack(folder: Path = PACKS_FOLDER) -> RulePack:
    """The newest pack for everybody, as if it had begun with the first: what evals and tests check before its day."""
    packs = [pack for pack in released_packs(folder) if not pack.tenants]
    return packs[-1].model_copy(update={"effective_from": packs[0].effective_from})


def pack_in_force(packs: Sequence[RulePack], now: datetime) -> RulePack:
    """The latest pack that is in force, in UTC. Raises `PackError` if there is no such pack."""
    today = now.astimezone(UTC).date()
    begun = [pack for pack in packs if pack.effective_from <= today]
    if not begun:
        raise PackError(f"no rule pack is in force on {today}: the first begins on {packs[0].effective_from}")
    return max(begun, key=lambda pack: pack.effective_from)


def next_change_at(packs: Sequence[RulePack], now: datetime) -> datetime | None:
    """The next midnight in UTC at which other rules come into force; None if no change is known.

    It is the first day of a later pack, or of a rule of the pack in force. Raises `PackError` if no pack is in force.
    """
    today = now.astimezone(UTC).date()
    days = pack_in_force(packs, now).effective_dates | {pack.effective_from for pack in packs}
    day = min((day for day in days if day > today), default=None)
    return None if day is None else datetime.combine(day, time(0), tzinfo=UTC)

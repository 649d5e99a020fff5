"""What a rule is, what it reads, and what it says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from typing import Literal

from contracts.documents.accounts import AccountFacts, Purpose
from contracts.documents.disclosures import Disclosure, required
from contracts.documents.reviews import Stage
from contracts.events.compliance import RuleId
from contracts.events.compliance import Verdict as VerdictKind
from services.specialists.compliance.email_text.characters import folded
from services.specialists.compliance.email_text.figures import Figures, read_figures
from services.specialists.compliance.email_text.message import Message
from services.specialists.compliance.email_text.wording import own_words, without_known_numbers
from services.specialists.compliance.pack import RulePack

About = Literal["person", "moment", "draft", "record"]
Severity = Literal["block", "warn", "reschedule"]


@dataclass(frozen=True)
class Situation:
    """Everything that a rule may read. `message` is the draft, if there is one yet."""

    facts: AccountFacts
    purpose: Purpose
    now: datetime
    pack: RulePack
    message: Message | None = None
    opt_out_base: str | None = None
    """Where opt-out links must lead; None takes any https address."""

    @property
    def today(self) -> date:
        """The day in UTC: what dates of the books are compared with."""
        return self.now.astimezone(UTC).date()

    @cached_property
    def required_texts(self) -> tuple[Disclosure, ...]:
        """The required texts; without those of a validation notice whose end nobody knows (R11 says so)."""
        today = self.today.isoformat()
        try:
            return required(self.facts, self.purpose, today)
        except ValueError:
            return required(self.facts, "payment_reminder", today)

    @cached_property
    def own_words(self) -> dict[str, str]:
        """Each part of the draft in folded form, less the required texts, links and names."""
        texts = [text.text for text in self.required_texts]
        words = {where: own_words(part, texts, self.facts) for where, part in self._parts.items()}
        if self.message is not None:
            # What a link says beyond its host is read, too.
            words["link"] = folded(" ".join(link.split("/", 3)[-1] for link in self.message.written_links))
        return words

    @cached_property
    def figures(self) -> dict[str, Figures]:
        """The figures of each part, less the numbers that everybody knows."""
        return {where: read_figures(without_known_numbers(part, self.facts)) for where, part in self._parts.items()}

    @property
    def _parts(self) -> dict[str, str]:
        return {} if self.message is None else self.message.parts


@dataclass(frozen=True)
class Verdict:
    """What one rule says. `mend` is what to write instead: empty if writing cannot help. `until`: for `reschedule`."""

    kind: VerdictKind
    evidence: tuple[str, ...] = ()
    mend: tuple[str, ...] = ()
    until: datetime | None = None


@dataclass(frozen=True)
class Problem:
    """One thing that a draft does wrong, and how to write it right; without `mend` no rewriting helps."""

    what: str
    mend: str | None = None


@dataclass(frozen=True)
class Rule:
    """One rule of the pack. `reads` names all that it looks at: facts (dotted), `message`, `now`, `purpose`."""

    id: RuleId
    name: str
    citation: str
    about: About
    severity: Severity
    stages: tuple[Stage, ...]
    reads: tuple[str, ...]
    check: Callable[[Situation], Verdict]


PASS = Verdict("pass")
PERSON: tuple[Stage, ...] = ("contact", "email", "sending")
"""About the person: checked before a word is written, with the draft, and again at the moment of sending."""

DRAFT: tuple[Stage, ...] = ("email",)
MOMENT: tuple[Stage, ...] = ("contact", "sending")
"""About the moment: at first contact only whether any moment can be permitted at all."""


def passed(evidence: str) -> Verdict:
    """The rule is kept, and why."""
    return Verdict("pass", (evidence,))


def blocked(evidence: str) -> Verdict:
    """The rule is broken and no rewriting helps."""
    return Verdict("block", (evidence,))


def unknown(*fields: str) -> Verdict:
    """Facts that the rule needs are missing, and a missing fact blocks."""
    return Verdict("unknown", (f"not known: {', '.join(fields)}",))


def judged(problems: Sequence[Problem], fine: str) -> Verdict:
    """Pass without problems; else block, with a remedy only if every problem has one."""
    if not problems:
        return passed(fine)
    mends = tuple(dict.fromkeys(problem.mend for problem in problems if problem.mend is not None))
    mendable = all(problem.mend is not None for problem in problems)
    return Verdict("block", tuple(dict.fromkeys(each.what for each in problems)), mends if mendable else ())


def flag(value: bool | None, field: str, *, broken: str, fine: str) -> Verdict:
    """A fact that must be known to be false."""
    if value is None:
        return unknown(field)
    return blocked(broken) if value else passed(fine)

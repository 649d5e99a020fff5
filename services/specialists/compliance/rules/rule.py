"""What a rule is, what it reads, and what it says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from typing import Literal

from contracts.documents.accounts import AccountFacts, Purpose
from contracts.documents.disclosures import Disclosure, required_disclosures
from contracts.documents.reviews import ReviewStage
from contracts.events.compliance import RuleId, VerdictKind
from services.specialists.compliance.email_text.characters import fold_text
from services.specialists.compliance.email_text.drafted_text import own_words, without_known_numbers
from services.specialists.compliance.email_text.figures import TextFigures, read_figures
from services.specialists.compliance.email_text.message import ParsedEmail
from services.specialists.compliance.pack import RulePack

About = Literal["person", "moment", "draft", "record"]
Severity = Literal["block", "warn", "reschedule"]


@dataclass(frozen=True)
class RuleInput:
    """Everything that a rule may read. `message` is the draft, if there is one yet."""

    facts: AccountFacts
    purpose: Purpose
    now: datetime
    pack: RulePack
    message: ParsedEmail | None = None
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
            return required_disclosures(self.facts, self.purpose, today)
        except ValueError:
            return required_disclosures(self.facts, "payment_reminder", today)

    @cached_property
    def own_words(self) -> dict[str, str]:
        """Each part of the draft in folded form, less the required texts, links and names."""
        texts = [text.text for text in self.required_texts]
        words = {where: own_words(part, texts, self.facts) for where, part in self._parts.items()}
        if self.message is not None:
            # What a link says beyond its host is read, too.
            words["link"] = fold_text(" ".join(link.split("/", 3)[-1] for link in self.message.written_links))
        return words

    @cached_property
    def figures(self) -> dict[str, TextFigures]:
        """The figures of each part, less the numbers that everybody knows."""
        return {where: read_figures(without_known_numbers(part, self.facts)) for where, part in self._parts.items()}

    @property
    def _parts(self) -> dict[str, str]:
        return {} if self.message is None else self.message.parts


@dataclass(frozen=True)
class RuleVerdict:
    """What one rule says. `mend` is what to write instead: empty if writing cannot help. `until`: for `reschedule`."""

    kind: VerdictKind
    evidence: tuple[str, ...] = ()
    revision_instructions: tuple[str, ...] = ()
    until: datetime | None = None


@dataclass(frozen=True)
class DraftProblem:
    """One thing that a draft does wrong, and how to write it right; without `mend` no rewriting helps."""

    what: str
    revision_instructions: str | None = None


@dataclass(frozen=True)
class ComplianceRule:
    """One rule of the pack. `reads` names all that it looks at: facts (dotted), `message`, `now`, `purpose`."""

    id: RuleId
    name: str
    citation: str
    topic: About
    severity: Severity
    stages: tuple[ReviewStage, ...]
    reads: tuple[str, ...]
    check: Callable[[RuleInput], RuleVerdict]


PASS_VERDICT = RuleVerdict("pass")
PERSON_STAGES: tuple[ReviewStage, ...] = ("contact", "email", "sending")
"""About the person: checked before a word is written, with the draft, and again at the moment of sending."""

DRAFT_STAGES: tuple[ReviewStage, ...] = ("email",)
MOMENT_STAGES: tuple[ReviewStage, ...] = ("contact", "sending")
"""About the moment: at first contact only whether any moment can be permitted at all."""


def pass_with(evidence: str) -> RuleVerdict:
    """The rule is kept, and why."""
    return RuleVerdict("pass", (evidence,))


def block_with(evidence: str) -> RuleVerdict:
    """The rule is broken and no rewriting helps."""
    return RuleVerdict("block", (evidence,))


def block_for_missing_facts(*fields: str) -> RuleVerdict:
    """Facts that the rule needs are missing, and a missing fact blocks."""
    return RuleVerdict("unknown", (f"not known: {', '.join(fields)}",))


def verdict_of_problems(problems: Sequence[DraftProblem], fine: str) -> RuleVerdict:
    """Pass without problems; else block, with a remedy only if every problem has one."""
    if not problems:
        return pass_with(fine)
    mends = tuple(
        dict.fromkeys(
            problem.revision_instructions for problem in problems if problem.revision_instructions is not None
        )
    )
    mendable = all(problem.revision_instructions is not None for problem in problems)
    return RuleVerdict("block", tuple(dict.fromkeys(each.what for each in problems)), mends if mendable else ())


def require_false(value: bool | None, field: str, *, broken: str, fine: str) -> RuleVerdict:
    """A fact that must be known to be false."""
    if value is None:
        return block_for_missing_facts(field)
    return block_with(broken) if value else pass_with(fine)

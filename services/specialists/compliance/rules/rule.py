"""What a rule is, its input and its verdict."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from operator import attrgetter
from typing import Literal

from contracts.documents.accounts import AccountFacts, Purpose
from contracts.documents.disclosures import Disclosure, required_disclosures, standing_disclosures
from contracts.documents.reviews import ReviewStage
from contracts.documents.wording import EmailPurpose
from contracts.events.compliance import RuleId, VerdictKind
from services.specialists.compliance.email_text.characters import fold_text, normalize_text
from services.specialists.compliance.email_text.drafted_text import own_words, without_known_numbers
from services.specialists.compliance.email_text.figures import TextFigures, read_figures
from services.specialists.compliance.email_text.lexicon import FoldedWords, find_in_words, read_words
from services.specialists.compliance.email_text.message import ParsedEmail
from services.specialists.compliance.pack import RulePack
from services.specialists.compliance.permitted_times import plausible_days

Severity = Literal["warn", "reschedule", "block"]


@dataclass(frozen=True)
class DraftProblem:
    """One problem of a draft, and how to fix it; None if no rewriting helps."""

    what: str
    revision_instructions: str | None = None


@dataclass(frozen=True)
class RuleInput:
    """Everything that a rule may read. `message` is the draft, once there is one."""

    facts: AccountFacts
    purpose: Purpose
    now: datetime
    pack: RulePack
    message: ParsedEmail | None = None
    opt_out_base: str | None = None
    """Public address of the opt-out pages, where opt-out links must lead; None accepts any https address."""

    @property
    def email_purpose(self) -> EmailPurpose:
        """What the wording says of the purpose. Raises `KeyError` for one that it does not have."""
        return self.pack.wording.purposes[self.purpose]

    @property
    def today(self) -> date:
        """The day in UTC."""
        return self.now.astimezone(UTC).date()

    @cached_property
    def days(self) -> tuple[date, date]:
        """The earliest and the latest day that it may be for the consumer.

        A period of the consumer is over when it is over everywhere, and one that must not be too short begins late.
        """
        return plausible_days(self.facts.consumer, self.now)

    @property
    def draft(self) -> ParsedEmail:
        """The draft. Raises `ValueError` at a stage without a draft."""
        if self.message is None:
            raise ValueError("this rule needs a draft, and the stage has no draft")
        return self.message

    @cached_property
    def required_texts(self) -> tuple[Disclosure, ...]:
        """The required texts; without those of a validation notice whose end date is missing, which R11 reports."""
        today = self.today.isoformat()
        try:
            return required_disclosures(self.facts, self.purpose, today, self.pack.wording)
        except ValueError:
            return standing_disclosures(self.facts, today, self.pack.wording)

    @cached_property
    def own_text(self) -> dict[str, str]:
        """Each part of the draft in folded form, less the required texts, links, names and dates in digits."""
        texts = [text.text for text in self.required_texts]
        return {where: own_words(part, texts, self.facts) for where, part in self.parts.items()}

    @cached_property
    def own_words(self) -> dict[str, FoldedWords]:
        """The words of each part's own text, and of the links."""
        words = {where: read_words(text) for where, text in self.own_text.items()}
        if self.message is not None:
            # The path and query of a link are text, too.
            links = " ".join(link.split("/", 3)[-1] for link in self.message.written_links)
            words["link"] = read_words(fold_text(links))
        return words

    @cached_property
    def figures(self) -> dict[str, TextFigures]:
        """The figures of each part, less the numbers on file (account, agency telephone)."""
        return {where: read_figures(without_known_numbers(part, self.facts)) for where, part in self.parts.items()}

    @property
    def parts(self) -> dict[str, str]:
        """The texts of the draft, by place: subject, text part, HTML part, and what the HTML part hides."""
        if self.message is None:
            return {}
        hidden = {"hidden HTML text": self.message.hidden} if self.message.hidden.strip() else {}
        return self.message.parts | hidden

    def missing_facts(self, *fields: str) -> list[str]:
        """Those of the facts, by dotted name, that are unknown."""
        return [field for field in fields if attrgetter(field)(self.facts) is None]

    def missing_texts(self, rule: RuleId) -> list[DraftProblem]:
        """A problem for each required text of a rule that a part of the draft does not contain word for word."""
        parts = {"text part": normalize_text(self.draft.text), "HTML part": normalize_text(self.draft.html)}
        return [
            DraftProblem(
                f"the {where} lacks the {each.name}", f"carry this text word for word in both parts: {each.text}"
            )
            for each in self.required_texts
            if each.rule == rule
            for where, part in parts.items()
            if normalize_text(each.text) not in part
        ]

    def listed_terms(self, *lists: str) -> list[tuple[str, str, str]]:
        """(words, list, place) for what the drafter's own text says of the pack's word lists."""
        return [
            (term, name, where)
            for where, part in self.own_words.items()
            for name in lists
            for term in find_in_words(part, self.pack.lexicon[name])
        ]


@dataclass(frozen=True)
class RuleVerdict:
    """One rule's verdict. `revision_instructions` is empty if no rewriting helps; `until` is set for `reschedule`."""

    kind: VerdictKind
    evidence: tuple[str, ...] = ()
    revision_instructions: tuple[str, ...] = ()
    until: datetime | None = None


@dataclass(frozen=True)
class ComplianceRule:
    """One rule. `reads` names every input of `check`: facts (dotted), `message`, `now`, `purpose`.

    `severity` is the mildest verdict other than a pass that `check` may return: a milder one counts as `unknown`, and
    so blocks.
    """

    id: RuleId
    name: str
    citation: str
    stages: tuple[ReviewStage, ...]
    check: Callable[[RuleInput], RuleVerdict]
    reads: tuple[str, ...]
    severity: Severity = "block"


def passes(evidence: str) -> RuleVerdict:
    """The rule is kept, with the reason."""
    return RuleVerdict("pass", (evidence,))


def blocks(evidence: str) -> RuleVerdict:
    """The rule is broken and no rewriting helps."""
    return RuleVerdict("block", (evidence,))


def unknown(*fields: str) -> RuleVerdict:
    """Facts that the rule needs are missing: a missing fact blocks."""
    return RuleVerdict("unknown", (f"not known: {', '.join(fields)}",))


def blocks_if(situation: RuleInput, field: str, *, broken: str, fine: str) -> RuleVerdict:
    """The verdict for a fact, by dotted name, that must be known to be false."""
    if situation.missing_facts(field):
        return unknown(field)
    return blocks(broken) if attrgetter(field)(situation.facts) else passes(fine)


def blocks_for(problems: Sequence[DraftProblem], *, fine: str) -> RuleVerdict:
    """Pass without problems; otherwise block, with instructions only if every problem has some."""
    if not problems:
        return passes(fine)
    evidence = tuple(dict.fromkeys(each.what for each in problems))
    fixes = tuple(
        dict.fromkeys(each.revision_instructions for each in problems if each.revision_instructions is not None)
    )
    revisable = all(each.revision_instructions is not None for each in problems)
    return RuleVerdict("block", evidence, fixes if revisable else ())

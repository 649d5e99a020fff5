"""The labelled questions, read from YAML."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from contracts.documents.accounts import AccountFacts, Purpose
from contracts.events.compliance import RuleId
from switchyard.runtime.core.yaml_file import UnreadableFile, read_yaml

DATASETS = Path(__file__).parent / "datasets"


class DatasetError(Exception):
    """A dataset cannot be used. The message names the file and the field."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Question(_Part):
    id: str
    cluster: str = ""
    """Cases of one cluster ask the same in other words, roles or places: they count as one in the statistics."""


class SqlCase(_Question):
    """A question for the Text-to-SQL agent, with the query that answers it or the word that none may."""

    question: str
    role: str = "FIELD_ALL"
    gold: str | None = None
    expect: Literal["cannot_answer"] | None = None

    @model_validator(mode="after")
    def _require_one_label(self) -> Self:
        if (self.gold is None) is (self.expect is None):
            raise ValueError("give either gold or expect")
        return self


def describe_choice(agents: Sequence[str], mode: str = "parallel") -> str:
    """A choice of specialists as labels and notes have it: `a`, `a & b` (parallel), `a > b` (sequence), or `none`."""
    return (" > " if mode == "sequence" else " & ").join(agents if mode == "sequence" else sorted(agents)) or "none"


class TriageCase(_Question):
    """A question with the agent, or the agents, that should get it, and other choices that are right too."""

    question: str
    agent: str | None = None
    agents: tuple[str, ...] = ()
    mode: Literal["parallel", "sequence"] = "parallel"
    also: tuple[str, ...] = ()
    """As `describe_choice` has them."""

    @model_validator(mode="after")
    def _require_one_label(self) -> Self:
        if (self.agent is None) is not bool(self.agents):
            raise ValueError("give either agent or agents")
        if len(self.agents) == 1:
            raise ValueError("agents are two or more; label one as agent")
        return self

    def right(self, deployed: frozenset[str]) -> frozenset[str]:
        """The right choices when only these agents have a card."""
        if self.agent is not None:
            return frozenset({self.agent, *self.also} & (deployed | {"none"})) or frozenset({"none"})
        left = [agent for agent in self.agents if agent in deployed]
        label = describe_choice(left, self.mode)
        if len(left) < len(self.agents):
            return frozenset({label, "none"} if self.mode == "sequence" else {label})
        return frozenset({label, *self.also})


class RoutingCase(_Question):
    """A question for the field routing agent, with the parameters of the right plan, or the word that no plan is right.

    `refused` is a plan that the data makes impossible: its parameters are right all the same.
    """

    question: str
    role: str = "FIELD_PERMIAN"
    parameters: dict[str, Any] | None = None
    expect: Literal["cannot_answer", "refused"] | None = None

    @model_validator(mode="after")
    def _require_label(self) -> Self:
        if (self.parameters is None) is not (self.expect == "cannot_answer"):
            raise ValueError("give the parameters, or the word cannot_answer")
        return self


class WellGold(_Part):
    """How code apart from the specialist computes the figure: SQL over the demo's files, or a function by its name."""

    sql: str | None = None
    python: Literal["decline", "forecast", "economic", "survey", "log"] | None = None
    arguments: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _require_one_way(self) -> Self:
        if (self.sql is None) is (self.python is None):
            raise ValueError("give either sql or python")
        return self


class WellCase(_Question):
    """A question for the well-data agent, with the gold of one figure or the code with which it must be refused."""

    question: str
    role: str = "FIELD_ALL"
    figure: str | None = None
    unit: str | None = None
    gold: WellGold | None = None
    tolerance: Annotated[float, Field(gt=0, lt=0.1)] | None = None
    """Relative; without one, half of the figure's last decimal."""

    refused: str | None = None

    @model_validator(mode="after")
    def _require_figure_or_code(self) -> Self:
        if (self.gold is None) is (self.refused is None) or (self.gold and None in (self.figure, self.unit)):
            raise ValueError("give figure, unit and gold, or refused")
        return self


class JudgeCase(_Question):
    """A draft for the judge of the compliance gate. It keeps every rule: only a reader can tell whether it is good."""

    purpose: Purpose = "payment_reminder"
    subject: str = "Information about your account"
    paragraphs: Annotated[tuple[str, ...], Field(min_length=1)]
    low: tuple[
        Literal["accuracy", "not_misleading", "respectful", "clear_options", "fits_history", "readable"], ...
    ] = ()
    """At least one of them must score below its floor; empty for a good draft."""

    never: bool = False
    """Whether letting it pass is what must never happen."""

    @model_validator(mode="after")
    def _require_failing_label(self) -> Self:
        if self.never and not self.low:
            raise ValueError("never is about drafts that must not pass: give low, too")
        return self


class HostileCase(_Part):
    """A statement that the guard must refuse; `source` says where it comes from."""

    id: str
    source: str
    sql: str


class AnalystCase(HostileCase):
    """A query that the guard must accept, with the columns of each table that it reads."""

    reads: dict[str, tuple[str, ...]]

    @property
    def columns(self) -> tuple[str, ...]:
        """TABLE.COLUMN, sorted, as the guard reports them."""
        return tuple(sorted(f"{table}.{column}" for table, columns in self.reads.items() for column in columns))


class RuleCase(_Part):
    """A draft for the rules of the compliance gate. `rule` must block it; a clean draft has none.

    `facts` are changes of the account, by dotted path with `__` for the dot; None takes a fact away.
    """

    id: str
    kind: str
    rule: RuleId | None = None
    judge_only: bool = False
    """Only a reader can reject it: no rule is expected to."""

    base: Literal["account", "first_contact"] = "account"
    purpose: Purpose | None = None
    now: datetime | None = None
    facts: dict[str, Any] = Field(default_factory=dict)
    subject: str = "Information about your account"
    paragraphs: tuple[str, ...] = ()
    """In place of the purpose's own."""

    add: str = ""
    """A further paragraph of both parts."""

    text: str = ""
    """A further paragraph of the text part only."""

    html: str = ""
    """Markup of the HTML part only."""

    head: str = ""
    """Markup of the head; `{}` is replaced by the required texts."""

    around: str = "<p>{}</p>"
    """Markup of each required text in the HTML part; empty leaves them out."""

    link: str = '<a href="{}">{}</a>'
    headers: dict[str, str] = Field(default_factory=dict)
    drop_text: RuleId | None = None
    """The rule whose required texts the text part lacks."""

    drop_html: RuleId | None = None

    @model_validator(mode="after")
    def _require_rule_unless_clean(self) -> Self:
        if (self.rule is None) is not (self.kind == "clean"):
            raise ValueError("give the rule that must block, or the kind clean")
        return self


CaseT = TypeVar("CaseT", SqlCase, TriageCase, RoutingCase, WellCase, JudgeCase, HostileCase, AnalystCase, RuleCase)


class Dataset(_Part, Generic[CaseT]):
    """A file of cases; `account` is what the judge's drafts are about."""

    account: AccountFacts | None = None
    cases: Annotated[tuple[CaseT, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _require_unique_ids(self) -> Self:
        for case_id, count in Counter(case.id for case in self.cases).items():
            if count > 1:
                raise ValueError(f"two cases are named {case_id!r}: baselines are kept by name, rename one")
        return self


def sql_cases(path: Path = DATASETS / "text_to_sql.yaml") -> tuple[SqlCase, ...]:
    """The Text-to-SQL questions. Raises `DatasetError`."""
    return _read(path, Dataset[SqlCase]).cases


def hostile_cases() -> tuple[HostileCase, ...]:
    """The statements that the guard must refuse. Raises `DatasetError`."""
    return _read(DATASETS / "sql_hostile.yaml", Dataset[HostileCase]).cases


def analyst_cases() -> tuple[AnalystCase, ...]:
    """The queries that the guard must accept. Raises `DatasetError`."""
    return _read(DATASETS / "sql_analyst.yaml", Dataset[AnalystCase]).cases


def triage_cases() -> tuple[TriageCase, ...]:
    """The triage questions. Raises `DatasetError`."""
    return _read(DATASETS / "triage.yaml", Dataset[TriageCase]).cases


def routing_cases() -> tuple[RoutingCase, ...]:
    """The routing questions. Raises `DatasetError`."""
    return _read(DATASETS / "field_routing.yaml", Dataset[RoutingCase]).cases


def well_cases() -> tuple[WellCase, ...]:
    """The well-data questions. Raises `DatasetError`."""
    return _read(DATASETS / "well_data.yaml", Dataset[WellCase]).cases


def judge_cases() -> tuple[AccountFacts, tuple[JudgeCase, ...]]:
    """The judge's drafts and their account. Raises `DatasetError`."""
    path = DATASETS / "compliance.yaml"
    dataset = _read(path, Dataset[JudgeCase])
    if dataset.account is None:
        raise DatasetError(f"{path}: account: is missing")
    return dataset.account, dataset.cases


def rule_cases() -> tuple[RuleCase, ...]:
    """The drafts for the rules. Raises `DatasetError`."""
    return _read(DATASETS / "compliance_rules.yaml", Dataset[RuleCase]).cases


def hash_dataset(name: str) -> str:
    """Short SHA-256 of a dataset's file: scores on different questions are not compared."""
    return hashlib.sha256((DATASETS / f"{name}.yaml").read_bytes()).hexdigest()[:12]


def _read(path: Path, kind: type[Dataset[CaseT]]) -> Dataset[CaseT]:
    try:
        found = read_yaml(path)
        if isinstance(found, dict) and "candidate" in found:
            raise DatasetError(f"{path}: candidate: a person labels the cases first, and moves them into a dataset")
        # As JSON, in which a strict model takes a list for a tuple.
        return kind.model_validate_json(json.dumps(found))
    except UnreadableFile as error:
        raise DatasetError(str(error)) from error
    except ValidationError as error:
        first = error.errors()[0]
        raise DatasetError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error

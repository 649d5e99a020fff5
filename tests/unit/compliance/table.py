"""Reads `cases.yaml`: each case is the good account and email with something changed."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict

from contracts.documents.accounts import Purpose
from contracts.documents.reviews import ReviewStage
from services.specialists.compliance.review import RuleEvaluation, evaluate_rules
from services.specialists.compliance.rules.rule import RuleInput
from tests.unit.compliance.emails import NOW, PARAGRAPHS, SALT, SUBJECT, Email, facts, first_contact, situation


class Case(BaseModel):
    """One case. `facts` are changes by dotted path (`__`), `swap` and `add` change the paragraphs of both parts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    base: Literal["facts", "first_contact"] = "facts"
    purpose: Purpose = "payment_reminder"
    stage: ReviewStage | None = None
    now: datetime = NOW
    facts: dict[str, Any] = {}
    swap: dict[str, str] = {}
    add: str | None = None
    subject: str = SUBJECT
    headers: dict[str, str | None] = {}
    extra_html: str = ""
    extra_text: str = ""
    drop: str | None = None
    drop_html: str | None = None
    expect: str | None = None

    def situation(self) -> RuleInput:
        """With the draft, unless the stage has none."""
        account = (facts if self.base == "facts" else first_contact)(**self.facts)
        email = None
        if self.stage in {None, "email"}:
            paragraphs = [*PARAGRAPHS[self.purpose], *([self.add] if self.add else [])]
            for old, new in self.swap.items():
                assert any(old in paragraph for paragraph in paragraphs), f"{self.id}: no {old!r} to swap"
                paragraphs = [paragraph.replace(old, new) for paragraph in paragraphs]
            email = Email(
                account,
                self.purpose,
                subject=self.subject,
                paragraphs=paragraphs,
                drop=self.drop,
                drop_html=self.drop_html,
                extra_text=self.extra_text,
                extra_html=self.extra_html,
                headers=self.headers,
            )
        return situation(account, purpose=self.purpose, now=self.now, email=email)

    def results(self) -> tuple[RuleEvaluation, ...]:
        """What the rules of its stage say."""
        return evaluate_rules(self.situation(), self.stage or "email", SALT)


def cases(kind: Literal["good", "bad"]) -> list[Case]:
    """All of a kind."""
    read = yaml.safe_load(Path(__file__).with_name("cases.yaml").read_text(encoding="utf-8"))
    return [Case.model_validate(case) for case in read[kind]]


def stopping(results: tuple[RuleEvaluation, ...]) -> set[str]:
    """The rules that block, cannot be checked, or want to wait: whatever keeps the email from being sent now."""
    return {result.rule.id for result in results if result.verdict.kind in {"block", "unknown", "reschedule"}}

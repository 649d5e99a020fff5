"""A what-if's comparison: what counts as a difference, and what is shown of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from switchyard.audit.what_if.comparison import AnswerSide, CaseWhatIf, TaskComparison
from switchyard.audit.what_if.page import count_cases, total_dollars, write_what_if_page

SHA = "ab" * 32
OTHER = "cd" * 32
CASE = "3f0c9a64-1c53-5b0e-9f60-6a1c5f8f2f11"


def result(rule: str, verdict: str, digest: str = SHA) -> dict[str, Any]:
    return {"rule": rule, "verdict": verdict, "input_hash": digest}


def side(outcome: str = "EmailPassed", text: str | None = None, **payload: Any) -> AnswerSide:
    return AnswerSide(outcome, payload, text, "openai:gpt-5.2", 1_000, 100)


def compare(then: AnswerSide | None, now: AnswerSide | None) -> TaskComparison:
    return TaskComparison("compliance", "ReviewEmail", then, now)


def test_digests_and_artefacts_that_differ_are_no_difference() -> None:
    artefact = {"name": "review", "sha256": SHA, "media_type": "application/json"}
    then = side(review=artefact, content=SHA, results=[result("R01", "pass")])
    now = side(review=artefact | {"sha256": OTHER}, content=OTHER, results=[result("R01", "pass", OTHER)])
    assert not compare(then, now).differs


def test_rule_that_fires_is_named_whatever_its_place() -> None:
    then = side(results=[result("R01", "pass"), result("R02", "pass")])
    now = side(results=[result("R02", "block"), result("R01", "pass")])
    assert compare(then, now).changes == ("results.R02.verdict: pass -> block",)


def test_rules_that_appear_and_go_are_changes() -> None:
    assert compare(side(rules=["R01", "R07"]), side("RevisionNeeded")).changes == ("rules: R01, R07 -> nothing",)


def test_changed_text_is_counted_in_lines() -> None:
    found = compare(side(text="a\nb\nc"), side(text="a\nx\nc\nd"))
    assert found.differs
    assert found.changed_lines == (2, 1)
    assert "-b" in found.diff


def test_unasked_task_makes_its_case_unknown_not_the_same() -> None:
    assert CaseWhatIf(CASE, "sent", (compare(side(), None),)).status == "unknown"
    assert CaseWhatIf(CASE, "sent").status == "not_run"
    assert CaseWhatIf(CASE, "sent", refused="gone").status == "refused"
    assert CaseWhatIf(CASE, "sent", (compare(side(), side()),)).status == "same"


def test_total_without_a_price_of_one_model_is_unknown() -> None:
    priced, unpriced = side(), AnswerSide("EmailPassed", model="openai:not-on-any-list", input_tokens=5)
    assert (total_dollars([priced, None]) or 0) > 0
    assert total_dollars([priced, unpriced]) is None
    assert total_dollars([AnswerSide("EmailPassed")]) is None


@pytest.mark.parametrize("shows_text", [True, False])
def test_page_escapes_what_it_shows_and_hides_texts_unless_asked(shows_text: bool, tmp_path: Path) -> None:
    cases = [
        CaseWhatIf(
            CASE, "sent", (compare(side(text="Dear Ada"), side(text="<script>alert(1)</script>")),), "ends as x"
        ),
        CaseWhatIf(CASE, "open", refused="gone: <b>memory</b>"),
    ]
    page = tmp_path / "page.html"
    write_what_if_page(page, cases, tried="pack <x>", shows_text=shows_text)
    shown = page.read_text(encoding="utf-8")
    assert "<script>" not in shown
    assert "<b>memory" not in shown
    assert "pack &lt;x&gt;" in shown
    assert ("Dear Ada" in shown) is shows_text
    assert shown.count("</html>") == 1
    assert count_cases(cases) == {"differs": 1, "refused": 1}

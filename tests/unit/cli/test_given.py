"""`case show` names what each step was given, by digest."""

from __future__ import annotations

import pytest

from switchyard.cli.app import case_text
from switchyard.cli.app.audit_log import list_given
from tests.unit.router.branch_cases import PARTS, chosen, findings, followed, join
from tests.unit.router.cases import received

GATHER, *COMMANDS = followed(chosen(2))
ANSWERS = [findings(command) for command in COMMANDS]
(DRAFT,) = followed(join(GATHER, [followed(answer)[0] for answer in ANSWERS]))


def test_command_of_a_branch_was_given_its_part() -> None:
    assert list_given(COMMANDS[1]) == [{"name": "question", "sha256": PARTS[1].sha256}]
    assert list_given(ANSWERS[1]) == [], "an answer gives nothing"


def test_drafter_was_given_the_question_each_part_and_each_finding_once() -> None:
    question = received(DRAFT).payload.question  # type: ignore[attr-defined]
    findings = [received(answer).payload.findings[0] for answer in ANSWERS]  # type: ignore[attr-defined]
    wanted = [question.sha256, PARTS[0].sha256, findings[0].sha256, PARTS[1].sha256, findings[1].sha256]
    assert sorted(each["sha256"] for each in list_given(DRAFT)) == sorted(wanted)


def test_step_is_printed_with_its_branch_and_what_it_was_given(capsys: pytest.CaptureFixture[str]) -> None:
    case_text.print_event(COMMANDS[1])
    assert f"text_to_sql (branch 2): was given question {PARTS[1].sha256[:12]}" in capsys.readouterr().out

"""Candidates from past cases: in the sets' own format, without a label, and without personal data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from contracts.documents.accounts import AccountFacts
from evals.cases import DatasetError, JudgeCase, sql_cases
from evals.from_case import build_candidates
from evals.personal import replace_personal, replacements_for_user
from services.drafter.mime import compose
from switchyard.cli.app.errors import CommandFailed
from switchyard.protocol.fields import Json
from tests.unit.compliance.emails import facts
from tests.unit.router import cases
from tests.unit.router import email_cases as mail

USER = "jordan.ellis@pecos.example"
QUESTION = "jordan.ellis@pecos.example here (call 614-555-0123): how much oil did Ellis' wells make in 2026?"
ASKED = [cases.OPENED, cases.CHOOSE, cases.CHOSEN, cases.ANSWER_QUESTION, cases.FOUND]


def reader(texts: Mapping[str, bytes]) -> Any:
    async def read(_: Json, reference: Mapping[str, Any]) -> bytes:
        if reference["name"] not in texts:
            raise CommandFailed("the key of the person that this is about was erased", remedy="none")
        return texts[reference["name"]]

    return read


async def test_question_becomes_a_candidate_of_triage_and_of_its_specialist() -> None:
    found = await build_candidates(ASKED, "answered", reader({"question": b"How deep is it?"}), None)
    assert [(each.suite, each.did) for each in found] == [
        ("triage", "AgentChosen (text_to_sql)"),
        ("text_to_sql", "FindingsReady"),
    ]
    assert all(each.case["question"] == "How deep is it?" for each in found)
    assert not {"agent", "agents", "gold", "expect"} & {name for each in found for name in each.case}


async def test_candidate_is_no_dataset_until_a_person_has_labelled_it(tmp_path: Path) -> None:
    _, candidate = await build_candidates(ASKED, "answered", reader({"question": b"How deep is it?"}), None)
    file = tmp_path / candidate.file_name
    file.write_text(candidate.to_yaml(), encoding="utf-8")
    with pytest.raises(DatasetError, match="candidate: a person labels"):
        sql_cases(file)
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert content.pop("candidate")["reviewer"] is None
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(DatasetError, match="give either gold or expect"):
        sql_cases(file)
    content["cases"][0]["gold"] = "SELECT 1"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    assert sql_cases(file)[0].question == "How deep is it?"


async def test_question_of_a_known_user_names_nobody() -> None:
    found = await build_candidates(ASKED, "answered", reader({"question": QUESTION.encode()}), USER)
    for each in found:
        text = each.to_yaml().lower()
        for personal in ("jordan", "ellis", "pecos.example", "555-0123", "614"):
            assert personal not in text, personal
        assert "how much oil did" in text
        assert "2026" in text


async def test_erased_case_has_no_candidate() -> None:
    with pytest.raises(CommandFailed, match="erased"):
        await build_candidates(ASKED, "answered", reader({}), None)


def test_personal_fields_of_an_account_have_stand_ins_and_figures_stay() -> None:
    account = facts(notes="Dana is ill.", consumer_reply="I am Dana.")
    changed, replaced = replace_personal(account)
    text = changed.model_dump_json()
    for personal in ("Dana", "Whitfield", "gmail", "4821", "+16145550142", "ill."):
        assert personal not in text, personal
    assert changed.consumer.residences[0].postal_code == "00000"
    assert changed.ledger.balance == account.ledger.balance
    assert changed.agency == account.agency
    replaced_text = replaced.apply(
        f"Dear Dana WHITFIELD (dana.whitfield@gmail.com), danas ****4821: call {account.agency.phone} or 614-555-9999."
    )
    assert replaced_text == (
        f"Dear Alex Morgan (alex.morgan@example.com), danas ****0000: call {account.agency.phone} or +15550100000."
    )


async def test_draft_becomes_a_candidate_for_the_judge_with_an_account_of_its_own() -> None:
    account = facts()
    written = compose(
        account,
        purpose="settlement_offer",
        today="2026-09-15",
        subject="About your account, Dana",
        paragraphs=["Dear Dana Whitfield, your balance is $1,234.50.", "Please write to us."],
        case_id=mail.CASE,
        opt_out_link="https://mail.harborline.example/o/x",
    )
    allowed = cases.reply(cases.routed(mail.opened()), mail.ALLOWED, written=(mail.REVIEW,))
    review = cases.routed(cases.reply(cases.routed(allowed), mail.DRAFTED, written=(mail.EMAIL,)))
    events = [review, cases.reply(review, mail.REVISION, written=(mail.REVIEW,))]
    texts = {"account": account.model_dump_json(exclude_none=True).encode(), "email": written}
    (found,) = await build_candidates(events, "blocked", reader(texts), None)
    assert (found.suite, found.did) == ("compliance", "RevisionNeeded (R14)")
    for personal in ("Dana", "Whitfield", "4821"):
        assert personal not in found.to_yaml()
    case = JudgeCase.model_validate_json(json.dumps(found.case))
    assert case.subject == "About your account, Alex"
    assert case.paragraphs == ("Dear Alex Morgan, your balance is $1,234.50.", "Please write to us.")
    assert found.account is not None
    AccountFacts.model_validate_json(json.dumps(found.account))


def test_short_user_ids_replace_no_ordinary_words() -> None:
    assert replacements_for_user("al").apply("All is well, Al.") == "All is well, Al."

"""Purposes of a company's own, from the file of the wording: the drafter, the rules and the dry run know no others."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from contracts.documents.accounts import AccountFacts
from contracts.documents.wording import SHIPPED, Wording, WordingError, parse_wording
from services.drafter.email import email_prompt
from services.drafter.mime import compose
from services.specialists.compliance.email_text.message import read_message
from services.specialists.compliance.pack import PACKS_FOLDER, PackError, RulePack, load_pack
from services.specialists.compliance.review import approval_reasons, evaluate_rules, fresh_salt
from services.specialists.compliance.rules.rule import RuleInput
from switchyard.cli.app.errors import InvalidArgument
from switchyard.cli.app.main import app
from tests.unit.compliance.emails import NOW, OPT_OUT_URL, PARAGRAPHS, facts, first_contact, pack

ROOT = Path(__file__).parents[3]
SOURCE = (ROOT / "contracts" / "documents" / "wording.toml").read_text(encoding="utf-8")
OWN = (
    SOURCE[: SOURCE.index("[purposes.")].replace('version = "2026-1"', 'version = "harbor-1"')
    + """
[purposes.welcome]
write = "Say that we now look after the account."
validation_notice = true
[purposes.spring_offer]
write = "Offer what the ledger offers, with its date."
offer = true
[purposes.answer]
write = "Answer what was disputed."
answers_dispute = true
[purposes.checkup]
write = "Ask whether the address is still right."
"""
)
OFFER = PARAGRAPHS["settlement_offer"][1]


def own_pack(wording: Wording, **approval: Any) -> RulePack:
    """The newest pack with another wording, in force."""
    newest = pack()
    policy = newest.approval.model_copy(update=approval)
    return newest.model_copy(update={"disclosures": wording.version, "wording": wording, "approval": policy})


def checked(account: AccountFacts, purpose: str, paragraph: str = "We are here to help.") -> tuple[RuleInput, set[str]]:
    """An email of the drafter for an own purpose, and the rules that stop it."""
    own = parse_wording(OWN, "own.toml")
    message = compose(
        account,
        purpose=purpose,
        today=NOW.date().isoformat(),
        subject="A message about your account",
        paragraphs=["Dear Ada Lovelace,", paragraph],
        case_id="6f1f6b0a-7c22-4c55-8d5e-9a0f2f0c5d0e",
        opt_out_link=OPT_OUT_URL,
        wording=own,
    )
    rules = own_pack(own, purposes=frozenset({"checkup"}))
    situation = RuleInput(account, purpose, NOW, rules, read_message(message, rules.email))
    results = evaluate_rules(situation, "email", fresh_salt())
    return situation, {each.rule.id for each in results if each.verdict.kind not in {"pass", "warn"}}


def test_own_notice_is_the_validation_notice_and_no_other_purpose_is() -> None:
    situation, stopped = checked(first_contact(), "welcome")
    assert stopped == set()
    assert "validation notice: dispute" in {text.name for text in situation.required_texts}
    situation, stopped = checked(first_contact(), "checkup")
    assert "R11" in stopped
    results = evaluate_rules(situation, "email", fresh_salt())
    assert any("submit it as welcome" in each for result in results for each in result.verdict.evidence)


def test_own_offer_may_offer_and_no_other_purpose_may() -> None:
    known = facts()
    assert checked(known, "spring_offer", OFFER)[1] == set()
    assert "R14" in checked(known, "checkup", OFFER)[1]


def test_own_answer_may_go_while_a_dispute_is_open_and_no_other_may() -> None:
    disputed = facts(history__dispute_open=True)
    assert checked(disputed, "answer")[1] == set()
    assert "R12" in checked(disputed, "checkup")[1]


def test_own_purpose_of_the_policy_asks_for_an_approval() -> None:
    situation, _ = checked(facts(), "checkup")
    assert approval_reasons(situation, (), 9_000) == ("purpose",)


def test_drafter_reads_what_the_files_purpose_says() -> None:
    own = parse_wording(OWN, "own.toml")
    shown = email_prompt(facts(), "checkup", review=None, previous=None, wording=own)
    assert "<task>Ask whether the address is still right.</task>" in shown
    assert SHIPPED.purposes["payment_reminder"].write not in shown


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("validation_notice = true", "validation_notice = false", "purposes: none has validation_notice"),
        ("[purposes.checkup]", "[purposes.Check-Up]", "purposes.Check-Up"),
        ('write = "Ask whether the address is still right."', "", "purposes.checkup.write"),
        ("offer = true", "offers = true", "purposes.spring_offer.offers"),
        ("still right.", "still\\u200b right.", "purposes.checkup.write"),
    ],
)
def test_invalid_purpose_is_refused_and_named(old: str, new: str, named: str) -> None:
    assert old in OWN
    with pytest.raises(WordingError, match=re.escape(named)):
        parse_wording(OWN.replace(old, new), "own.toml")


def test_pack_whose_policy_names_an_unknown_purpose_is_refused_with_the_remedy(tmp_path: Path) -> None:
    source = sorted(PACKS_FOLDER.glob("*.toml"))[0].read_text(encoding="utf-8")
    path = tmp_path / "pack.toml"
    path.write_text(source.replace('disclosures = "2026-1"', 'disclosures = "harbor-1"'), encoding="utf-8")
    with pytest.raises(
        PackError, match=r"approval\.purposes: the purpose settlement_offer is unknown: name one of welcome"
    ):
        load_pack(path, parse_wording(OWN, "own.toml"))


def test_rules_check_knows_the_purposes_of_the_own_file_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = sorted(PACKS_FOLDER.glob("*.toml"))[0].read_text(encoding="utf-8")
    for old, new in (
        ('disclosures = "2026-1"', 'disclosures = "harbor-1"'),
        ('["settlement_offer"]', '["spring_offer"]'),
    ):
        assert old in source
        source = source.replace(old, new)
    for name, text in {"wording.toml": OWN, "pack.toml": source, "facts.json": facts().model_dump_json()}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.setenv("SWITCHYARD_WORDING", str(tmp_path / "wording.toml"))

    def check(purpose: str) -> Any:
        given = [str(tmp_path / "facts.json"), "--purpose", purpose, "--at", NOW.isoformat(), "--json"]
        return CliRunner().invoke(app, ["rules", "check", *given, "--pack", str(tmp_path / "pack.toml")])

    assert json.loads(check("spring_offer").output)["stopped_by"] == []
    refused = check("settlement_offer").exception
    assert isinstance(refused, InvalidArgument)
    assert "settlement_offer is unknown" in refused.message
    assert "welcome, spring_offer, answer, checkup" in str(refused.remedy)

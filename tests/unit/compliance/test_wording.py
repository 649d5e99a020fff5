"""The required wording as a file of the company's own: who writes and who checks have the same, or nothing is sent."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from contracts.documents.accounts import AccountFacts, Purpose
from contracts.documents.disclosures import required_disclosures
from contracts.documents.wording import SHIPPED, Wording, WordingError, load_wording, parse_wording
from services.drafter.mime import compose
from services.specialists.compliance.email_text.message import read_message
from services.specialists.compliance.pack import PACKS_FOLDER, PackError, RulePack, load_pack
from services.specialists.compliance.review import evaluate_rules, fresh_salt
from services.specialists.compliance.rules.rule import RuleInput
from tests.unit.compliance.emails import NOW, OPT_OUT_URL, facts, first_contact, pack

ROOT = Path(__file__).parents[3]
SOURCE = (ROOT / "contracts" / "documents" / "wording.toml").read_text(encoding="utf-8")
OWN = (
    SOURCE.replace('version = "2026-1"', 'version = "harbor-1"')
    .replace("This communication is from a debt collector.", "Harbor Partners collects debts, and this is from them.")
    .replace("you can opt out here:", "follow this link to opt out:")
    .replace("Call or write to us by {validation_ends_on} to dispute", "By {validation_ends_on}, tell us to dispute")
)
WORDING_RULES = {"R06", "R10", "R11", "R13"}


def own_pack(wording: Wording) -> RulePack:
    """The newest pack with another wording, in force."""
    return pack().model_copy(update={"disclosures": wording.version, "wording": wording})


def blocked(account: AccountFacts, purpose: Purpose, *, written: Wording, checked: Wording) -> set[str]:
    """Which rules about the wording stop an email that the drafter wrote."""
    message = compose(
        account,
        purpose=purpose,
        today=NOW.date().isoformat(),
        subject="A message about your account",
        paragraphs=["Dear Ada Lovelace,", "Your balance is $1,250.00."],
        case_id="6f1f6b0a-7c22-4c55-8d5e-9a0f2f0c5d0e",
        opt_out_link=OPT_OUT_URL,
        wording=written,
    )
    rules = own_pack(checked)
    situation = RuleInput(account, purpose, NOW, rules, read_message(message, rules.email))
    results = evaluate_rules(situation, "email", fresh_salt())
    return {each.rule.id for each in results if each.verdict.kind == "block"} & WORDING_RULES


@pytest.mark.parametrize(("account", "purpose"), [(facts(), "payment_reminder"), (first_contact(), "initial_notice")])
def test_own_wording_is_written_and_accepted_and_no_other_one(account: AccountFacts, purpose: Purpose) -> None:
    own = parse_wording(OWN, "own.toml")
    assert blocked(account, purpose, written=own, checked=own) == set()
    assert blocked(account, purpose, written=SHIPPED, checked=own)
    assert blocked(account, purpose, written=own, checked=SHIPPED)


def test_own_wording_has_the_facts_of_the_account() -> None:
    own = parse_wording(OWN, "own.toml")
    texts = [each.text for each in required_disclosures(first_contact(), "initial_notice", "2026-09-15", own)]
    assert any(text.startswith("By October 25, 2026, tell us to dispute") for text in texts)
    assert not any(brace in text for text in texts for brace in "{}")


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("{validation_ends_on}", "next month", "dispute: {validation_ends_on} is missing"),
        ("{agency} is a debt", "{agency.__class__} is a debt", "agency.__class__"),
        ("{principal}", "{principal:>9}", "without a format"),
        ("{balance}", "{balance!r}", "without a format"),
        ("{balance}", "{}", "is not a fact"),
        ("{balance}", "{balance", "itemization"),
        ("you can opt out here:", "you can opt out {here}:", "opt_out"),
        ("from a debt collector.", "from a debt\\u200b collector.", "later_contact"),
        ("from a debt collector.", "from a debt\\ncollector.", "later_contact"),
        ('later_contact = "', 'latest_contact = "', "later_contact"),
        ('rights_url = "https://', 'rights_url = "http://', "rights_url"),
        ("rights under federal law at https://www.cfpb.gov/debt-collection.", "rights from us.", "rights"),
        ('version = "2026-1"', 'version = ""', "version"),
        ("[validation]", "[validation", "own.toml"),
    ],
)  # fmt: skip
def test_wording_that_the_law_does_not_permit_is_refused_and_named(old: str, new: str, named: str) -> None:
    assert old in SOURCE
    with pytest.raises(WordingError, match=re.escape(named)):
        parse_wording(SOURCE.replace(old, new), "own.toml")


def test_pack_without_its_wording_is_refused_with_the_remedy() -> None:
    own = parse_wording(OWN, "own.toml")
    with pytest.raises(PackError, match="harbor-1; release a pack that names it, or set SWITCHYARD_WORDING"):
        load_pack(next(PACKS_FOLDER.glob("*.toml")), own)


def test_pack_cannot_bring_a_wording_of_its_own(tmp_path: Path) -> None:
    source = next(PACKS_FOLDER.glob("*.toml")).read_text(encoding="utf-8")
    path = tmp_path / "pack.toml"
    path.write_text(f'{source}\n[wording]\nversion = "2026-1"\n', encoding="utf-8")
    assert load_pack(path).wording == SHIPPED


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_file_that_cannot_be_read_is_named_with_its_variable(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "own.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(WordingError, match="SWITCHYARD_WORDING"):
        load_wording(path)

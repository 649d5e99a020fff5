"""`switchyard rules list` says what the code checks; `rules check` tries it."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from contracts.documents import wording
from services.samples import sample_email
from services.specialists.compliance import pack
from services.specialists.compliance.dry_run import check_draft, read_facts
from services.specialists.compliance.pack import RulePack, newest_pack, pack_in_force, released_packs
from services.specialists.compliance.rules import RULES
from switchyard.cli.app.errors import CommandFailed, InvalidArgument
from switchyard.cli.app.main import app
from switchyard.cli.app.submissions import read_submission
from tests.unit.compliance.emails import Email, facts


def in_force() -> RulePack:
    return pack_in_force(released_packs(), datetime.now(UTC))


def test_rules_list_names_every_rule_and_its_first_day() -> None:
    shown = CliRunner().invoke(app, ["rules", "list"])
    assert shown.exit_code == 0
    for rule in RULES.values():
        assert rule.id in shown.output
    assert f"rule pack {in_force().version}" in shown.output
    assert in_force().effective_from_of("R18").isoformat() in shown.output


def test_rules_as_json_have_the_same_fields() -> None:
    listed = json.loads(CliRunner().invoke(app, ["rules", "list", "--json"]).output)
    assert listed["pack"] == in_force().version
    assert [rule["id"] for rule in listed["rules"]] == list(RULES)
    assert listed["rules"][17]["from"] == in_force().effective_from_of("R18").isoformat()
    assert listed["rules"][0]["stages"] == ["contact", "sending"]


def test_rules_without_a_pack_in_force_fail_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    late = released_packs()[-1].model_copy(update={"effective_from": date(2999, 1, 1)})
    monkeypatch.setattr(pack, "released_packs", lambda *_: (late,))
    outcome = CliRunner().invoke(app, ["rules", "list"])
    assert isinstance(outcome.exception, CommandFailed)
    assert outcome.exception.remedy


AT = "2026-09-15T16:00:00Z"
THREAT = "Hello Jordan,\n\nWe will garnish your wages. Pay $9,999.00 today.\n\nKind regards"


@pytest.fixture
def given(tmp_path: Path) -> tuple[Path, Path]:
    """The facts of an account, and a draft that passes every rule."""
    account, draft = tmp_path / "facts.json", tmp_path / "draft.eml"
    known = facts()
    account.write_text(known.model_dump_json(exclude_none=True), encoding="utf-8")
    draft.write_bytes(Email(known).build())
    return account, draft


def check(*arguments: object) -> tuple[int, str, BaseException | None]:
    shown = CliRunner().invoke(app, ["rules", "check", *map(str, arguments)])
    return shown.exit_code, shown.output, shown.exception


def test_rules_check_of_a_good_draft_passes_every_rule(given: tuple[Path, Path]) -> None:
    exit_code, output, _ = check(*given, "--purpose", "payment_reminder", "--at", AT, "--json")
    found = json.loads(output)
    assert (exit_code, found["stopped_by"], found["stage"]) == (0, [], "email")
    assert {each["rule"] for each in found["rules"]} == {rule.id for rule in RULES.values() if "email" in rule.stages}


def test_rules_check_of_a_text_shows_the_sentences_that_fired(given: tuple[Path, Path]) -> None:
    given[1].write_text(THREAT, encoding="utf-8")
    exit_code, output, _ = check(*given, "--purpose", "payment_reminder", "--at", AT)
    assert exit_code == 1
    lines = output.splitlines()
    threat = next(at for at, line in enumerate(lines) if line.startswith("R15 block"))
    assert "    > We will garnish your wages." in lines[threat:]
    figure = next(at for at, line in enumerate(lines) if line.startswith("R14 block"))
    assert "    > Pay $9,999.00 today." in lines[figure:]
    assert "stopped by R06" in " ".join(lines[-2:])  # the last sentence may be wrapped


def test_rules_check_without_a_draft_checks_the_contact(given: tuple[Path, Path]) -> None:
    exit_code, output, _ = check(given[0], "--purpose", "payment_reminder", "--at", AT)
    assert exit_code == 0
    assert "stage contact" in output


def test_rules_check_of_an_unreleased_pack_is_as_if_its_day_had_come(given: tuple[Path, Path], tmp_path: Path) -> None:
    source = (pack.PACKS_FOLDER / "2026-01-01.toml").read_text(encoding="utf-8")
    file = tmp_path / "next.toml"
    file.write_text(source.replace("2026-01-01", "2099-01-01"), encoding="utf-8")
    given[1].write_text(THREAT, encoding="utf-8")
    exit_code, output, _ = check(*given, "--purpose", "payment_reminder", "--at", AT, "--pack", file)
    assert exit_code == 1
    assert "begins on 2099-01-01" in output
    assert "R15 block" in output


@pytest.mark.parametrize(
    ("content", "arguments", "named"),
    [
        ("{}", [], "as_of"),
        ("not json", [], "not JSON"),
        ("[1]", [], "facts.json"),
        (None, ["--purpose", "flattery"], "flattery is unknown"),
        (None, [], "the purpose is missing"),
        (None, ["--purpose", "payment_reminder", "--at", "noon"], "--at noon"),
        (None, ["--purpose", "payment_reminder", "--at", "2026-01-01T00:00:00"], "no time zone"),
        (None, ["--purpose", "payment_reminder", "--stage", "email"], "email needs a DRAFT"),
        (None, ["--purpose", "payment_reminder", "--pack", "/not/there.toml"], "there.toml"),
    ],
)
def test_rules_check_called_wrongly_names_what_is_wrong(
    content: str | None, arguments: list[str], named: str, given: tuple[Path, Path]
) -> None:
    if content is not None:
        given[0].write_text(content, encoding="utf-8")
    _, _, error = check(given[0], *arguments)
    assert isinstance(error, CommandFailed)
    assert named in f"{error.message} {error.remedy}"
    assert isinstance(error, InvalidArgument) or "--pack" in arguments


def test_sample_email_is_one_line_that_publish_takes_and_rules_check_reads(tmp_path: Path) -> None:
    line = CliRunner().invoke(app, ["sample", "email"]).output
    assert line.count("\n") == 1
    detail = read_submission(line)
    assert not isinstance(detail, str), detail
    (tmp_path / "email.json").write_text(line, encoding="utf-8")
    _, output, problem = check(tmp_path / "email.json")
    assert f"pack {in_force().version}, stage contact" in output, problem


@pytest.mark.parametrize("month", range(1, 13))
def test_sample_email_is_stopped_by_no_rule_in_permitted_hours(month: int) -> None:
    noon = datetime(2027, month, 15, 17, tzinfo=UTC)
    given = read_facts(json.dumps(sample_email(noon)))
    assert given.purpose is not None
    verdicts = check_draft(given.facts, given.purpose, noon, newest_pack(), draft=None, stage="contact")
    assert [each.result.rule.id for each in verdicts if each.result.verdict.kind != "pass"] == []


def test_rules_check_takes_the_companys_own_wording(
    given: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = Path(wording.__file__).with_name("wording.toml").read_text(encoding="utf-8")
    own, own_pack = tmp_path / "wording.toml", tmp_path / "pack.toml"
    own.write_text(shipped.replace('"2026-1"', '"own-1"').replace("can opt out here:", "may opt out here:"))
    monkeypatch.setenv("SWITCHYARD_WORDING", str(own))
    _, _, refused = check(*given, "--purpose", "payment_reminder", "--at", AT)
    assert isinstance(refused, CommandFailed)
    assert "own-1" in str(refused)
    first = sorted(pack.PACKS_FOLDER.glob("*.toml"))[0].read_text(encoding="utf-8")
    own_pack.write_text(first.replace('disclosures = "2026-1"', 'disclosures = "own-1"'))
    _, output, _ = check(*given, "--purpose", "payment_reminder", "--at", AT, "--pack", own_pack, "--json")
    assert json.loads(output)["stopped_by"] == ["R06"]

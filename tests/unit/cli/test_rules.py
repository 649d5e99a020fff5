"""`switchyard rules list` says what the code checks."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from services.specialists.compliance import pack
from services.specialists.compliance.pack import released_packs
from services.specialists.compliance.rules import RULES
from switchyard.cli.app.errors import CommandFailed
from switchyard.cli.app.main import app


def test_rules_list_names_every_rule_and_its_first_day() -> None:
    shown = CliRunner().invoke(app, ["rules", "list"])
    assert shown.exit_code == 0
    for rule in RULES.values():
        assert rule.id in shown.output
    assert f"rule pack {released_packs()[-1].version}" in shown.output
    assert "2026-09-01" in shown.output


def test_rules_as_json_have_the_same_fields() -> None:
    listed = json.loads(CliRunner().invoke(app, ["rules", "list", "--json"]).output)
    assert listed["pack"] == released_packs()[-1].version
    assert [rule["id"] for rule in listed["rules"]] == list(RULES)
    assert listed["rules"][17]["from"] == "2026-09-01"
    assert listed["rules"][0]["stages"] == ["contact", "sending"]


def test_rules_without_a_pack_in_force_fail_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    late = released_packs()[-1].model_copy(
        update={"effective_from": released_packs()[-1].effective_from.replace(year=2999)}
    )
    monkeypatch.setattr(pack, "released_packs", lambda: (late,))
    outcome = CliRunner().invoke(app, ["rules", "list"])
    assert isinstance(outcome.exception, CommandFailed)
    assert outcome.exception.remedy

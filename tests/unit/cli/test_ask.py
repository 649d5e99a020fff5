"""`switchyard ask`: the submission that a command line's fields make."""

from __future__ import annotations

import sys

import pytest

from contracts.events.upstream import CaseSubmitted
from switchyard.app import application
from switchyard.app.application import AppUnusable, load_app
from switchyard.cli.app.errors import InvalidArgument
from switchyard.cli.commands.ask import build_submission


def test_fields_become_a_submission_with_the_playbook_of_its_kind() -> None:
    made = build_submission(CaseSubmitted, ["question=Why = now?", "tenant=acme", "deadline_ms=2000"])
    submitted = CaseSubmitted.model_validate(made)
    assert (submitted.question, submitted.tenant, submitted.deadline_ms) == ("Why = now?", "acme", 2_000)
    assert submitted.playbook == "assist"


def test_two_calls_ask_for_two_cases() -> None:
    first, second = (build_submission(CaseSubmitted, ["question=Hi"]) for _ in range(2))
    assert first["idempotency_key"] != second["idempotency_key"]


@pytest.mark.parametrize(("field", "named"), [("colour=red", "colour"), ("question", "question"), ("=x", "")])
def test_field_that_is_none_is_named_with_those_that_are(field: str, named: str) -> None:
    with pytest.raises(InvalidArgument, match=f"{named} is not a field of CaseSubmitted") as raised:
        build_submission(CaseSubmitted, [field])
    assert "question" in str(raised.value.remedy)


@pytest.mark.parametrize(
    ("reference", "problem"),
    [
        ("absent_folder.app:APP", "there is no application absent_folder.app:APP"),
        ("services.app:CATALOGUE", "there is no application"),
        ("nonsense", "nonsense is not a reference"),
    ],
)
def test_application_that_cannot_be_used_is_named(
    monkeypatch: pytest.MonkeyPatch, reference: str, problem: str
) -> None:
    monkeypatch.setenv(application.APP_VARIABLE, reference)
    load_app.cache_clear()
    try:
        with pytest.raises(AppUnusable, match=problem) as raised:
            load_app()
        assert raised.value.remedy
    finally:
        load_app.cache_clear()


def test_application_that_misses_a_package_of_its_own_keeps_its_traceback(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    from pathlib import Path

    folder = Path(str(tmp_path))
    (folder / "lame_app.py").write_text("import absent_package\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv(application.APP_VARIABLE, "lame_app:APP")
    load_app.cache_clear()
    try:
        with pytest.raises(ModuleNotFoundError, match="absent_package"):
            load_app()
    finally:
        sys.modules.pop("lame_app", None)
        load_app.cache_clear()

"""The check that keeps the application's words out of the engine finds them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lint.application_words import findings

ENGINE = Path("switchyard/app/anything.py")


@pytest.mark.parametrize(
    ("source", "word"),
    [
        ("def read_email(): ...", "email"),
        ("class DebtRecord: ...", "debt"),
        ('ROLE = "FIELD_ALL"\nSCOPE = "warehouse:role:"', "warehouse"),
        ("from services.drafter import x", "drafter"),
        ('"""Asks the question."""', "question"),
        ("call(ses_endpoint=1)", "ses"),
    ],
)
def test_word_of_the_application_in_the_engine_is_found(source: str, word: str) -> None:
    assert word in {each for _, each in findings(ENGINE, source)}


@pytest.mark.parametrize("source", ["# an email, for example", "sessions = 1", '"dead letters"', "well_formed = True"])
def test_words_of_the_engine_are_not_found(source: str) -> None:
    assert list(findings(ENGINE, source)) == []


def test_sql_is_read_without_its_comments() -> None:
    found = findings(Path("switchyard/case_manager/a.sql"), "-- for an email\ncreate table debtor (id int);")
    assert list(found) == [(2, "debtor")]

"""The required wording: filled from the facts, and the same for who writes and who checks."""

from __future__ import annotations

import pytest

from contracts.documents.disclosures import (
    format_dollars,
    format_long_date,
    is_time_barred,
    required_disclosures,
)
from contracts.documents.wording import SHIPPED
from tests.unit.compliance.emails import facts, first_contact

TODAY = "2026-09-15"


def test_amounts_and_dates_have_their_usual_written_form() -> None:
    assert [format_dollars(amount) for amount in ("0.00", "7.05", "1234.50", "1000000.00")] == [
        "$0.00", "$7.05", "$1,234.50", "$1,000,000.00",
    ]  # fmt: skip
    assert format_long_date("2026-07-01") == "July 1, 2026"


def test_first_notice_has_each_item_with_the_ledgers_figures() -> None:
    texts = required_disclosures(first_contact(), "initial_notice", TODAY)
    assert [text.rule for text in texts] == ["R11"] * 7 + ["R10", "R06", "R17"]
    whole = " ".join(text.text for text in texts)
    for item in ("$1,234.50", "$1,400.00", "$34.50", "$200.00", "October 25, 2026", "Northfork Bank", "****4821"):
        assert item in whole
    assert SHIPPED.first_contact in whole
    assert "{" not in whole


def test_later_email_names_the_debt_collector() -> None:
    assert [text.text for text in required_disclosures(facts(), "payment_reminder", TODAY) if text.rule == "R10"] == [
        SHIPPED.later_contact
    ]


def test_notice_without_an_end_of_the_period_is_refused() -> None:
    with pytest.raises(ValueError, match="validation_ends_on is missing"):
        required_disclosures(first_contact(history__validation_ends_on=None), "initial_notice", TODAY)


@pytest.mark.parametrize(
    ("ends", "ended", "barred"),
    [
        ("2026-09-14", False, True), ("2026-09-15", False, False), ("2029-01-01", True, True), (None, None, None),
        (None, False, False), ("2029-01-01", None, False),
    ],
)  # fmt: skip
def test_time_barred_debt_follows_the_stricter_fact(ends: str | None, ended: bool | None, barred: bool | None) -> None:
    account = facts(ledger__limitation_ends_on=ends, ledger__limitation_ended=ended)
    assert is_time_barred(account, TODAY) is barred
    answer = [text.rule for text in required_disclosures(account, "payment_reminder", TODAY)]
    assert ("R13" in answer) is bool(barred)

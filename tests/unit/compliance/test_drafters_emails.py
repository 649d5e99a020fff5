"""What the drafter composes is what compliance looks for: the two share the wording and nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from contracts.documents.accounts import AccountFacts, Purpose
from contracts.documents.opt_out import opt_out_url
from demo.emails import DEMO_EMAILS, DemoEmail, build_email_submission
from services.drafter.mime import compose
from services.specialists.compliance.review import blocking_results, evaluate_rules, rule_ids
from tests.unit.compliance.emails import CASE_ID, NOW, PARAGRAPHS, SALT, SUBJECT, facts, first_contact, situation
from tests.unit.compliance.table import stopping

LOCAL = "http://127.0.0.1:8999"
DEMO_NOW = datetime(2026, 11, 20, 17, 30, tzinfo=UTC)


def composed(account: AccountFacts, purpose: Purpose, paragraphs: list[str], now: datetime, base: str) -> bytes:
    """An email as the drafter's `compose` makes it."""
    return compose(
        account,
        purpose=purpose,
        today=now.date().isoformat(),
        subject=SUBJECT,
        paragraphs=paragraphs,
        case_id=CASE_ID,
        opt_out_link=opt_out_url(base, "eyJhbGciOi.8kQx"),
    )


@pytest.mark.parametrize(
    ("purpose", "account"),
    [
        ("payment_reminder", facts()),
        ("payment_reminder", facts(ledger__limitation_ended=True)),
        ("settlement_offer", facts()),
        ("payment_confirmation", facts()),
        ("dispute_response", facts(history__dispute_open=True)),
        ("initial_notice", first_contact()),
        ("payment_reminder", facts(consumer__first_name="José", consumer__last_name="Núñez-Łukasik")),
    ],
)
def test_good_draft_composed_by_the_drafter_passes_all_rules(purpose: Purpose, account: AccountFacts) -> None:
    raw = composed(account, purpose, PARAGRAPHS[purpose], NOW, "https://mail.harborline.example")
    results = evaluate_rules(situation(account, purpose=purpose, email=raw), "email", SALT)
    assert [(each.rule.id, each.verdict) for each in blocking_results(results)] == []


def test_local_opt_out_link_passes_only_on_the_local_stack() -> None:
    given = situation(email=composed(facts(), "payment_reminder", PARAGRAPHS["payment_reminder"], NOW, LOCAL))
    assert blocking_results(evaluate_rules(replace(given, opt_out_base=LOCAL), "email", SALT)) == ()
    assert "R06" in rule_ids(blocking_results(evaluate_rules(given, "email", SALT)))
    assert "R06" in rule_ids(
        blocking_results(evaluate_rules(replace(given, opt_out_base="https://mail.harborline.example"), "email", SALT))
    )


@pytest.mark.parametrize("email", DEMO_EMAILS, ids=lambda email: email.key)
def test_demo_account_is_stopped_by_the_rules_named_in_the_demo(email: DemoEmail) -> None:
    account = AccountFacts.model_validate(
        build_email_submission(email, DEMO_EMAILS.index(email), DEMO_NOW)["facts"], strict=False
    )
    before = situation(account, purpose=email.purpose, now=DEMO_NOW)
    paragraphs = ["We are writing about your account.", "Call us or write to us if you have a question."]
    draft = situation(
        account, purpose=email.purpose, now=DEMO_NOW,
        email=composed(account, email.purpose, paragraphs, DEMO_NOW, "https://mail.harborline.example"),
    )  # fmt: skip
    found = stopping(evaluate_rules(draft, "email", SALT)) | stopping(evaluate_rules(before, "contact", SALT))
    # The demo's drafts break R13 to R17 on purpose; this one is good.
    expected = {rule for rule in email.rules if email.facts.get("ledger.reference") is None}
    assert found == expected

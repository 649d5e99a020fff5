"""A good account and a good email, and ways to spoil either in one place."""

from __future__ import annotations

import html
import json
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any

from contracts.documents.accounts import AccountFacts, Purpose
from contracts.documents.disclosures import required_disclosures
from services.specialists.compliance.email_text.message import read_message
from services.specialists.compliance.pack import RulePack, newest_pack
from services.specialists.compliance.rules.rule import RuleInput

NOW = datetime(2026, 9, 15, 16, 0, tzinfo=UTC)
"""Noon in New York, nine in Los Angeles: within hours everywhere but in Hawaii and the Pacific."""

OPT_OUT_URL = "https://mail.harborline.example/opt-out/eyJhbGciOi.8kQx"
SALT = bytes(range(0xA0, 0xB0))
"""A review's salt, so that a test can tell which hash to expect."""

CASE_ID = "5f3a8c1e-0000-4000-8000-00000000c0de"

GOOD: dict[str, Any] = {
    "version": "1",
    "as_of": "2026-09-15T06:00:00Z",
    "consumer": {
        "first_name": "Dana",
        "last_name": "Whitfield",
        "residences": [{"state": "OH", "postal_code": "43215"}],
        "phones": ["+16145550142"],
        "time_zone": "America/New_York",
        "inconvenient_times": [],
        "inconvenient_media": [],
        "attorney": False,
        "cease_requested": False,
        "bankrupt": False,
        "deceased": False,
        "minor": False,
    },
    "email": {
        "address": "dana.whitfield@gmail.com",
        "obtained": "consumer",
        "consumer_used_on": "2026-05-04",
        "consented": True,
        "opted_out": False,
        "disclosed_to_third_party": False,
        "work_address": False,
    },
    "history": {
        "contacts": [{"at": "2026-09-01T15:00:00Z", "medium": "letter"}],
        "first_contact_on": "2026-06-20",
        "contacted_before": True,
        "validation_notice_on": "2026-06-20",
        "validation_ends_on": "2026-07-29",
        "dispute_open": False,
        "last_activity_on": "2026-09-01",
    },
    "ledger": {
        "balance": "1234.50",
        "principal": "1400.00",
        "interest": "34.50",
        "fees": "0.00",
        "payments": "200.00",
        "fees_authorised": True,
        "itemization_on": "2026-03-31",
        "original_creditor": "Northfork Bank",
        "current_creditor": "Elmgate Receivables LLC",
        "reference": "****4821",
        "offers": [{"amount": "900.00", "due_on": "2026-10-30"}],
        "last_payment_on": "2026-05-04",
        "last_payment": "200.00",
        "limitation_ends_on": "2029-05-04",
        "limitation_ended": False,
    },
    "agency": {
        "name": "Harborline Recovery Inc.",
        "address": "400 Court Street, Suite 12, Columbus, OH 43215",
        "phone": "+16145550100",
        "from_address": "accounts@harborline.example",
        "website": "https://www.harborline.example",
    },
    "notes": "",
    "consumer_reply": "",
}

PARAGRAPHS: dict[str, list[str]] = {
    "payment_reminder": [
        "We are writing about your account ****4821 from Northfork Bank, which is now owed to Elmgate Receivables LLC.",
        "Your current balance is $1,234.50. Thank you for your payment of $200.00 on May 4, 2026.",
        "You can pay online at https://www.harborline.example or call us at (614) 555-0100. "
        "If paying in full is difficult, we are glad to talk about other ways.",
    ],
    "settlement_offer": [
        "We are writing about your account ****4821 from Northfork Bank, which is now owed to Elmgate Receivables LLC.",
        "Your current balance is $1,234.50. Elmgate Receivables LLC will accept $900.00 as payment in full if we "
        "receive it by October 30, 2026.",
        "You are free to decline. You can reply to this email or call us at (614) 555-0100 with any question.",
    ],
    "initial_notice": [
        "We are writing to introduce ourselves and to give you information about an account.",
    ],
    "payment_confirmation": [
        "Thank you. We received your payment of $200.00 on May 4, 2026 for account ****4821.",
        "Your current balance is $1,234.50. You can see it at https://www.harborline.example at any time.",
    ],
    "dispute_response": [
        "You told us that you dispute your account ****4821 from Northfork Bank. Here is what the books of Elmgate "
        "Receivables LLC say: the principal is $1,400.00, the interest $34.50, and you paid $200.00.",
        "If this does not answer your question, please call us at (614) 555-0100 or reply to this email.",
    ],
}
SUBJECT = "Information about your account"


def facts(**changes: Any) -> AccountFacts:
    """The good account with some facts changed, by dotted path with `__` for the dot; None takes one away."""
    changed = json.loads(json.dumps(GOOD))
    for path, value in changes.items():
        *way, last = path.split("__")
        at = changed
        for name in way:
            at = at[name]
        if value is None:
            at.pop(last, None)
        else:
            at[last] = value
    return AccountFacts.model_validate_json(json.dumps(changed))


def first_contact(**changes: Any) -> AccountFacts:
    """A good account that nobody was contacted about yet."""
    fresh: dict[str, Any] = {
        "history__contacts": [],
        "history__first_contact_on": None,
        "history__contacted_before": False,
        "history__validation_notice_on": None,
        "history__validation_ends_on": "2026-10-25",
        "history__last_activity_on": None,
    }
    return facts(**(fresh | changes))


@dataclass
class Email:
    """What an email is made of. Change a field to spoil it."""

    facts: AccountFacts
    purpose: Purpose = "payment_reminder"
    subject: str = SUBJECT
    paragraphs: list[str] = field(default_factory=list)
    drop: str | None = None
    """Takes a required text out of both parts: the rule's id."""
    drop_html: str | None = None
    extra_text: str = ""
    extra_html: str = ""
    """Raw HTML, before the end of the body."""
    headers: dict[str, str | None] = field(default_factory=dict)
    """Other values; None takes a header away."""
    raw_headers: str = ""
    """Further header lines, as they would be injected."""

    def with_(self, **changes: Any) -> Email:
        """A copy with other fields."""
        return replace(self, **changes)

    def build(self) -> bytes:
        """The bytes."""
        agency = self.facts.agency
        body = self.paragraphs or PARAGRAPHS[self.purpose]
        legal = required_disclosures(self.facts, self.purpose, NOW.date().isoformat())
        text, markup = [], []
        greeting = f"Dear {self.facts.consumer.first_name} {self.facts.consumer.last_name},"
        for paragraph in [greeting, *body]:
            text.append(paragraph)
            markup.append(f"<p>{html.escape(paragraph)}</p>")
        if self.extra_text:
            text.append(self.extra_text)
        markup.append(self.extra_html)
        for disclosure in legal:
            link = f" {OPT_OUT_URL}" if disclosure.rule == "R06" else ""
            linked = f' <a href="{OPT_OUT_URL}">{OPT_OUT_URL}</a>' if disclosure.rule == "R06" else ""
            if disclosure.rule != self.drop:
                text.append(disclosure.text + link)
                if disclosure.rule != self.drop_html:
                    markup.append(f"<p>{html.escape(disclosure.text)}{linked}</p>")
        message = EmailMessage(policy=SMTP)
        values: dict[str, str | None] = {
            "From": f'"{agency.name}" <{agency.from_address}>',
            "To": self.facts.email.address,
            "Subject": self.subject,
            "Message-ID": f"<{CASE_ID}@harborline.example>",
            "MIME-Version": "1.0",
            "Auto-Submitted": "auto-generated",
            "List-Unsubscribe": f"<{OPT_OUT_URL}>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        }
        for name, value in (values | self.headers).items():
            if value is not None:
                message[name] = value
        message.set_content("\n\n".join(text) + "\n", cte="quoted-printable")
        page = (
            f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"></head><body>{"".join(markup)}</body></html>'
        )
        message.add_alternative(page, subtype="html", cte="quoted-printable")
        raw = message.as_bytes()
        if self.raw_headers:
            raw = re.sub(rb"(\r\nMessage-ID:)", b"\r\n" + self.raw_headers.encode() + rb"\1", raw, count=1)
        return raw


def pack() -> RulePack:
    """The newest pack, in force."""
    return newest_pack()


def situation(
    given: AccountFacts | None = None,
    *,
    purpose: Purpose = "payment_reminder",
    now: datetime = NOW,
    email: Email | bytes | None = None,
    rules: RulePack | None = None,
) -> RuleInput:
    """A situation without a draft, or with one."""
    given, rules = given or facts(), rules or pack()
    raw = email.build() if isinstance(email, Email) else email
    message = None if raw is None else read_message(raw, rules.email)
    return RuleInput(given, purpose, now, rules, message)


def drafted(given: AccountFacts | None = None, purpose: Purpose = "payment_reminder", **changes: Any) -> RuleInput:
    """A situation with a draft for the good account, or for `given`, spoilt by `changes` of `Email`."""
    given = given or facts()
    return situation(given, purpose=purpose, email=Email(given, purpose).with_(**changes))

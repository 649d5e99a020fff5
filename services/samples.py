"""`switchyard sample`: complete submissions to begin with, as an upstream system sends them."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import typer

from switchyard.cli.app.console import print_json
from switchyard.cli.app.lazy import CommandGroup

if TYPE_CHECKING:
    from switchyard.protocol.fields import Json

app = CommandGroup()


@app.callback()
def samples_group() -> None:
    """Print a complete submission with dates of today; in a pipe as one line of JSON, for `switchyard publish`."""


@app.command()
def email() -> None:
    """Print a sample submission of an email, with every fact that the rules read."""
    submission = sample_email(datetime.now(UTC))
    if sys.stdout.isatty():
        print_json(submission)
    else:
        typer.echo(json.dumps(submission, ensure_ascii=False))


def sample_email(now: datetime) -> Json:
    """A submission that no rule stops, in the hours in which contact is permitted."""
    return {
        "tenant": "harbor-partners",
        "idempotency_key": f"sample-{now:%Y%m%dT%H%M%S}",
        "session_id": "campaign-sample",
        "playbook": "outbound_email",
        "consumer_id": "consumer-1",
        "submitted_for": "c.ruiz",
        "purpose": "payment_reminder",
        "facts": sample_facts(now),
    }


def sample_facts(now: datetime) -> Json:
    """The facts of an account that is in order, as of two hours ago."""
    from switchyard.runtime.core.clock import timestamp

    def day(count: int) -> str:
        return (now + timedelta(days=count)).date().isoformat()

    return {
        "version": "1",
        "as_of": timestamp(now - timedelta(hours=2)),
        "consumer": {
            "first_name": "Ada",
            "last_name": "Miller",
            "residences": [{"state": "NC", "postal_code": "27601"}],
            "phones": ["+19195550123"],
            "inconvenient_times": [],
            "inconvenient_media": [],
            "attorney": False,
            "cease_requested": False,
            "bankrupt": False,
            "deceased": False,
            "minor": False,
        },
        "email": {
            "address": "ada.miller@gmail.com",
            "obtained": "consumer",
            "consumer_used_on": day(-60),
            "consented": True,
            "opted_out": False,
            "disclosed_to_third_party": False,
            "work_address": False,
        },
        "history": {
            "contacts": [{"at": timestamp(now - timedelta(days=20)), "medium": "letter"}],
            "first_contact_on": day(-120),
            "contacted_before": True,
            "validation_notice_on": day(-120),
            "validation_ends_on": day(-80),
            "dispute_open": False,
            "last_activity_on": day(-20),
        },
        "ledger": {
            "balance": "1200.50",
            "principal": "1000.00",
            "interest": "200.50",
            "fees": "0.00",
            "payments": "0.00",
            "fees_authorised": True,
            "itemization_on": day(-300),
            "original_creditor": "First Harbor Bank",
            "current_creditor": "Harbor Receivables LLC",
            "reference": "***0001",
            "offers": [],
            "limitation_ends_on": day(700),
            "limitation_ended": False,
        },
        "agency": {
            "name": "Harbor Partners",
            "address": "100 Main Street, Raleigh, NC 27601",
            "phone": "+18005550100",
            "from_address": "accounts@harborline.example",
            "website": "https://harborline.example",
        },
        "notes": "",
        "consumer_reply": "",
    }

"""Facts of an account, as a creditor's system sends them."""

from __future__ import annotations

import json
from typing import Any

from contracts.documents.accounts import AccountFacts

_FACTS: dict[str, Any] = {
    "as_of": "2026-10-01T12:00:00Z",
    "consumer": {
        "first_name": "Ada",
        "last_name": "Lovelace",
        "residences": [{"state": "OH", "postal_code": "43004"}],
    },
    "email": {"address": "ada.lovelace@example.com", "obtained": "consumer"},
    "history": {"contacted_before": True},
    "ledger": {
        "balance": "1250.00",
        "principal": "1200.00",
        "interest": "50.00",
        "fees": "0.00",
        "payments": "0.00",
        "itemization_on": "2026-01-15",
        "original_creditor": "First Bank of Ohio",
        "current_creditor": "Granite Capital",
        "reference": "****4711",
        "limitation_ended": False,
    },
    "agency": {
        "name": "Harborline Recovery",
        "address": "12 Quay Street, Columbus, OH 43004",
        "phone": "+16145550123",
        "from_address": "accounts@harborline.example",
        "website": "https://harborline.example",
    },
}


def facts(*, first: bool = False, **changes: dict[str, Any]) -> AccountFacts:
    """The facts with other values in some of their parts; `first` for a consumer who was never contacted."""
    whole = {**_FACTS, **{name: {**_FACTS[name], **change} for name, change in changes.items()}}
    if first:
        whole["history"] = {"contacted_before": False, "validation_ends_on": "2026-11-10"}
    return AccountFacts.model_validate_json(json.dumps(whole))

"""A configuration bundle: one document, whose digest changes with every part and with nothing else."""

from __future__ import annotations

import subprocess
import sys
from datetime import date, time
from typing import Any

import pytest
from pydantic import BaseModel

from switchyard.protocol.bundles import AgentBundle, as_content, bundle_key, content_digest

PARTS: dict[str, Any] = {
    "agent": "drafter",
    "code": "0a1b",
    "card": {"name": "drafter", "tools": ["list_tables"]},
    "prompts": {"answer": "Write.", "email": "Be kind."},
    "models": {"primary": {"model_id": "a"}, "fallback": {"model_id": "b"}, "policy": {"stall_ms": 3_000}},
    "settings": {"rule_packs": {"us-2026.08": "ab" * 32}},
}
CHANGES = {
    "agent": "triage",
    "code": "0a1c",
    "card": {"name": "drafter", "tools": ["list_tables", "check_sql"]},
    "prompts": {"answer": "Write!", "email": "Be kind."},
    "models": {"primary": {"model_id": "c"}, "fallback": {"model_id": "b"}, "policy": {"stall_ms": 3_000}},
    "settings": {"rule_packs": {"us-2026.08": "ac" * 32}},
}


@pytest.mark.parametrize("part", PARTS)
def test_digest_changes_with_any_part(part: str) -> None:
    assert AgentBundle(**PARTS | {part: CHANGES[part]}).digest != AgentBundle(**PARTS).digest


def test_digest_policy_of_the_failover_is_a_part() -> None:
    other = PARTS["models"] | {"policy": {"stall_ms": 3_001}}
    assert AgentBundle(**PARTS | {"models": other}).digest != AgentBundle(**PARTS).digest


def test_stored_bundle_is_read_back_with_its_digest() -> None:
    bundle = AgentBundle(**PARTS)
    again = AgentBundle.model_validate_json(bundle.serialize())
    assert again == bundle
    assert bundle.key == bundle_key(again.digest) == f"bundles/{bundle.digest}.json"


def test_parts_written_in_another_order_have_the_same_digest() -> None:
    turned: dict[str, Any] = {
        name: dict(reversed(part.items())) if isinstance(part, dict) else part for name, part in PARTS.items()
    }
    assert AgentBundle(**turned).digest == AgentBundle(**PARTS).digest


class _Limits(BaseModel):
    names: frozenset[str] = frozenset({"b", "a", "c"})
    share: float = 0.25
    since: date = date(2026, 8, 1)
    earliest: time = time(8)


def test_settings_of_any_form_have_canonical_content() -> None:
    assert as_content(_Limits()) == {
        "names": ["a", "b", "c"],
        "share": "0.25",
        "since": "2026-08-01",
        "earliest": "08:00:00",
    }


def test_digest_of_a_set_is_the_same_in_every_process() -> None:
    code = (
        "from switchyard.protocol.bundles import content_digest;"
        "print(content_digest({'words': frozenset({'suit', 'lien', 'court', 'fee'})}))"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert found == {content_digest({"words": frozenset({"court", "fee", "lien", "suit"})})}

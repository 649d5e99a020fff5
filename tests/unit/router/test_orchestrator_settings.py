"""The keys of the router come from its environment."""

from __future__ import annotations

import pytest

from switchyard.case_manager.principals import PrincipalKeys
from switchyard.processes.case_manager_settings import CaseManagerSettings
from switchyard.processes.router_settings import RouterSettings
from switchyard.router.state_seal import StateSeal
from switchyard.runtime.core.settings import InvalidSettings
from tests.unit.router.cases import OPENED, routed

KEY = "0a" * 32


def test_keys_are_read_in_order_and_the_first_one_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWITCHYARD_STATE_KEYS", f'{{"k2": "{KEY}", "k1": "{"0b" * 32}"}}')
    keys = RouterSettings().state_keys
    assert keys == {"k2": b"\x0a" * 32, "k1": b"\x0b" * 32}
    assert routed(OPENED, StateSeal(keys))["state_seal"].startswith("k2.")


def test_router_without_keys_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SWITCHYARD_STATE_KEYS", raising=False)
    with pytest.raises(InvalidSettings, match="SWITCHYARD_STATE_KEYS is missing"):
        RouterSettings()


@pytest.mark.parametrize(
    "text",
    ["", "k1", "[]", '{"k1": 1}', f'{{"k1": "{KEY}x"}}'],
    ids=["nothing", "no JSON", "a list", "a number", "no hex"],
)
def test_keys_that_cannot_be_read_are_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("SWITCHYARD_STATE_KEYS", text)
    with pytest.raises(InvalidSettings) as caught:
        RouterSettings()
    assert not text or "SWITCHYARD_STATE_KEYS is invalid" in str(caught.value)
    assert KEY not in str(caught.value)


def test_case_manager_without_mac_key_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWITCHYARD_WORK_DB_URL", "postgresql://case manager@db/work")
    monkeypatch.delenv("SWITCHYARD_MAC_KEY", raising=False)
    with pytest.raises(InvalidSettings, match="SWITCHYARD_MAC_KEY is missing"):
        CaseManagerSettings()


@pytest.mark.parametrize(
    "keys",
    [
        pytest.param(f'{{"ingress": {{"k1": "{KEY}"}}}}', id="a name that no upstream has"),
        pytest.param(f'{{"upstream.in gress": {{"k1": "{KEY}"}}}}', id="a name that no event can carry"),
        pytest.param(f'{{"upstream.ingress": {{"of 2026": "{KEY}"}}}}', id="a key's name that no event can carry"),
        pytest.param('{"upstream.ingress": {"k1": "0a"}}', id="no key"),
    ],
)
def test_case_manager_with_invalid_principal_keys_does_not_start(monkeypatch: pytest.MonkeyPatch, keys: str) -> None:
    monkeypatch.setenv("SWITCHYARD_WORK_DB_URL", "postgresql://case manager@db/work")
    monkeypatch.setenv("SWITCHYARD_MAC_KEY", KEY)
    monkeypatch.setenv("SWITCHYARD_PERSON_KEY", KEY)
    monkeypatch.setenv("SWITCHYARD_PRINCIPAL_KEYS", f'{{"upstream.ingress": {{"k1": "{KEY}"}}}}')
    assert PrincipalKeys(CaseManagerSettings().principal_keys).must_sign("upstream.ingress")
    monkeypatch.setenv("SWITCHYARD_PRINCIPAL_KEYS", keys)
    with pytest.raises(InvalidSettings, match="SWITCHYARD_PRINCIPAL_KEYS is invalid"):
        CaseManagerSettings()

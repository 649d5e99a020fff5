"""A wrong environment stops a process at its start, names the variable's field, and tells no secret."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from switchyard.protocol.topology import BUS, VISIBILITY_SECONDS
from switchyard.runtime.core.settings import ProcessSettings, WorkSettings

SECRET = "postgresql://triage:hunter2@db/work"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for settings in (WorkSettings, ProcessSettings):
        for name, field in settings.model_fields.items():
            monkeypatch.delenv(str(field.validation_alias or f"SWITCHYARD_{name.upper()}"), raising=False)


def test_defaults_are_those_of_the_topology() -> None:
    settings = ProcessSettings()
    assert (settings.bus, settings.visibility_s, settings.endpoint_url) == (BUS, VISIBILITY_SECONDS, None)


def test_a_process_reads_its_own_prefix_and_the_usual_names_of_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWITCHYARD_CONCURRENCY", "4")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")
    settings = ProcessSettings()
    assert (settings.concurrency, settings.region) == (4, "eu-central-1")
    assert settings.endpoint_url == "http://127.0.0.1:4566"


@pytest.mark.parametrize(
    ("variable", "value", "field"),
    [
        ("SWITCHYARD_CONCURRENCY", "0", "concurrency"),
        ("SWITCHYARD_CONCURRENCY", "257", "concurrency"),
        ("SWITCHYARD_CONCURRENCY", "many", "concurrency"),
        ("SWITCHYARD_VISIBILITY_S", "0.5", "visibility_s"),
        ("SWITCHYARD_POLL_WAIT_S", "21", "poll_wait_s"),
        ("SWITCHYARD_RETRY_BASE_S", "0", "retry_base_s"),
        ("SWITCHYARD_DRAIN_S", "0", "drain_s"),
        ("SWITCHYARD_HEALTH_PORT", "65536", "health_port"),
        ("SWITCHYARD_LOG_LEVEL", "LOUD", "log_level"),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, field: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ValidationError) as caught:
        ProcessSettings()
    assert [error["loc"] for error in caught.value.errors()] == [(field,)]
    assert "input_value" not in str(caught.value)


def test_a_missing_database_is_named() -> None:
    with pytest.raises(ValidationError) as caught:
        WorkSettings()
    assert [(error["loc"], error["type"]) for error in caught.value.errors()] == [(("work_db_url",), "missing")]


def test_secrets_are_not_in_what_is_printed_nor_in_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWITCHYARD_WORK_DB_URL", SECRET)
    monkeypatch.setenv("SWITCHYARD_VAULT_KEY", b"hunter2".ljust(32).hex())
    settings = WorkSettings()
    assert settings.work_db_url.get_secret_value() == SECRET
    assert settings.vault_key == b"hunter2".ljust(32)
    shown: list[Any] = [str(settings), repr(settings), settings.model_dump_json()]
    monkeypatch.setenv("SWITCHYARD_CONCURRENCY", "0")
    with pytest.raises(ValidationError) as caught:
        WorkSettings()
    assert not any("hunter2" in text for text in [*shown, str(caught.value)])
    assert b"hunter2".hex() not in "".join(shown)


@pytest.mark.parametrize("key", ["hunter2", "6a" * 31, "6a" * 33])
def test_invalid_key_error_names_variable_and_remedy_but_not_the_key(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("SWITCHYARD_WORK_DB_URL", SECRET)
    monkeypatch.setenv("SWITCHYARD_VAULT_KEY", key)
    with pytest.raises(ValidationError, match=r"SWITCHYARD_VAULT_KEY is invalid: .* Remedy: ") as caught:
        WorkSettings()
    assert key not in str(caught.value)


def test_variables_of_other_processes_do_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWITCHYARD_STATE_KEYS", "{}")
    assert ProcessSettings().bus == BUS


def test_an_empty_variable_counts_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWITCHYARD_OTLP_ENDPOINT", "")
    monkeypatch.setenv("SWITCHYARD_CONCURRENCY", "")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "")
    settings = ProcessSettings()
    assert (settings.otlp_endpoint, settings.concurrency, settings.endpoint_url) == (None, 8, None)
    monkeypatch.setenv("SWITCHYARD_WORK_DB_URL", "")
    with pytest.raises(ValidationError, match="work_db_url"):
        WorkSettings()

"""A wrong environment stops a process at its start, names the variable's field, and tells no secret."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError
from structlog.testing import capture_logs

from switchyard.protocol.topology import BUS, VISIBILITY_SECONDS
from switchyard.runtime.core.loop import run_event_loop
from switchyard.runtime.core.settings import ApproverSettings, InvalidSettings, ProcessSettings, WorkSettings
from switchyard.runtime.models.clients import ModelSettings

SECRET = "postgresql://triage:hunter2@db/work"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for settings in (WorkSettings, ProcessSettings):
        for name, field in settings.model_fields.items():
            monkeypatch.delenv(str(field.validation_alias or f"SWITCHYARD_{name.upper()}"), raising=False)


def test_defaults_are_those_of_the_topology() -> None:
    settings = ProcessSettings()
    assert (settings.bus, settings.visibility_s, settings.endpoint_url) == (BUS, VISIBILITY_SECONDS, None)


def test_process_reads_its_own_prefix_and_awss_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWITCHYARD_CONCURRENCY", "4")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")
    settings = ProcessSettings()
    assert (settings.concurrency, settings.region) == (4, "eu-central-1")
    assert settings.endpoint_url == "http://127.0.0.1:4566"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SWITCHYARD_CONCURRENCY", "0"),
        ("SWITCHYARD_CONCURRENCY", "257"),
        ("SWITCHYARD_CONCURRENCY", "many"),
        ("SWITCHYARD_VISIBILITY_S", "0.5"),
        ("SWITCHYARD_POLL_WAIT_S", "21"),
        ("SWITCHYARD_RETRY_BASE_S", "0"),
        ("SWITCHYARD_DRAIN_S", "0"),
        ("SWITCHYARD_HEALTH_PORT", "65536"),
        ("SWITCHYARD_LOG_LEVEL", "LOUD"),
    ],
)
def test_value_out_of_range_is_refused_with_its_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(InvalidSettings) as caught:
        ProcessSettings()
    assert str(caught.value).startswith(f"{variable} is invalid: ")
    assert str(caught.value).endswith(" (see docs/operate/settings.md)")


def test_missing_database_variable_is_named() -> None:
    with pytest.raises(
        InvalidSettings, match=r"^SWITCHYARD_WORK_DB_URL is missing: expected The work database, .+ \(see"
    ):
        WorkSettings()


def test_secrets_are_absent_from_output_and_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWITCHYARD_WORK_DB_URL", SECRET)
    monkeypatch.setenv("SWITCHYARD_VAULT_KEY", b"hunter2".ljust(32).hex())
    settings = WorkSettings()
    assert settings.work_db_url.get_secret_value() == SECRET
    assert settings.vault_key == b"hunter2".ljust(32)
    shown: list[Any] = [str(settings), repr(settings), settings.model_dump_json()]
    monkeypatch.setenv("SWITCHYARD_CONCURRENCY", "0")
    with pytest.raises(InvalidSettings) as caught:
        WorkSettings()
    assert not any("hunter2" in text for text in [*shown, str(caught.value)])
    assert b"hunter2".hex() not in "".join(shown)


@pytest.mark.parametrize("key", ["hunter2", "6a" * 31, "6a" * 33])
def test_invalid_key_error_names_variable_and_remedy_but_not_the_key(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("SWITCHYARD_WORK_DB_URL", SECRET)
    monkeypatch.setenv("SWITCHYARD_VAULT_KEY", key)
    with pytest.raises(InvalidSettings, match=r"SWITCHYARD_VAULT_KEY is invalid: .* Remedy: ") as caught:
        WorkSettings()
    assert key not in str(caught.value)


def test_variables_of_other_processes_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWITCHYARD_STATE_KEYS", "{}")
    assert ProcessSettings().bus == BUS


def test_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWITCHYARD_OTLP_ENDPOINT", "")
    monkeypatch.setenv("SWITCHYARD_CONCURRENCY", "")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "")
    settings = ProcessSettings()
    assert (settings.otlp_endpoint, settings.concurrency, settings.endpoint_url) == (None, 8, None)
    monkeypatch.setenv("SWITCHYARD_WORK_DB_URL", "")
    with pytest.raises(InvalidSettings, match="SWITCHYARD_WORK_DB_URL is missing"):
        WorkSettings()


@pytest.mark.parametrize(
    ("misspelt", "known"),
    [
        ("SWITCHYARD_WROK_DB_URL", "SWITCHYARD_WORK_DB_URL"),
        ("SWITCHYARD_VAULT_KYE", "SWITCHYARD_VAULT_KEY"),
        ("SWITCHYARD_CONCURENCY", "SWITCHYARD_CONCURRENCY"),
        ("switchyard_log_levle", "SWITCHYARD_LOG_LEVEL"),
    ],
)
def test_misspelt_variable_of_an_unset_one_is_refused_with_the_right_name(
    monkeypatch: pytest.MonkeyPatch, misspelt: str, known: str
) -> None:
    monkeypatch.setenv(misspelt, SECRET)
    with pytest.raises(InvalidSettings, match=f"^{misspelt} is unknown: rename it {known}, or unset it$"):
        WorkSettings()


def test_unknown_variable_similar_to_no_unset_one_is_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWITCHYARD_CONCURRENCY", "4")
    monkeypatch.setenv("SWITCHYARD_CONCURENCY", "5")
    monkeypatch.setenv("SWITCHYARD_AUDIT_DB_URL", SECRET)
    monkeypatch.setenv("SWITCHYARD_APP", "services.app:APP")
    monkeypatch.setenv("SWITCHYARD_MODEL_OPENAI_ID", "read by another class")
    with capture_logs() as logs:
        ProcessSettings().log_unknown_variables()
    logged = {each["variable"] for each in logs if each["event"] == "settings.unknown_variable"}
    assert {"SWITCHYARD_CONCURENCY", "SWITCHYARD_AUDIT_DB_URL"} <= logged
    assert not logged & {"SWITCHYARD_CONCURRENCY", "SWITCHYARD_APP", "SWITCHYARD_MODEL_OPENAI_ID"}
    assert not any(SECRET in str(each) for each in logs)


def test_model_settings_refuse_misspelt_variables_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWITCHYARD_MODEL_POLICES", "{}")
    ProcessSettings()
    with pytest.raises(InvalidSettings, match="rename it SWITCHYARD_MODEL_POLICIES"):
        ModelSettings()


def test_process_with_invalid_settings_ends_with_one_line_and_status_1() -> None:
    async def serve() -> None:
        WorkSettings()

    with pytest.raises(SystemExit, match=r"^invalid settings: SWITCHYARD_WORK_DB_URL is missing: [^\n]+$"):
        run_event_loop(serve)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"approvers": {"a": "11" * 32, "b": "11" * 32}}, "two approvers have the same key"),
        ({"approvers": {"oncall": "11" * 32, "Oncall": "22" * 32}}, "belongs to two persons"),
        (
            {"approvers": {"a": "11" * 32, "b": "22" * 32}, "submitter_identities": {"a": ["x@y"], "b": ["X@Y"]}},
            "belongs to two persons",
        ),
    ],
)
def test_person_under_two_names_is_refused_at_start(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        ApproverSettings.model_validate(fields)

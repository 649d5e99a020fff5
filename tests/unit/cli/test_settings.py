"""What commands read from the environment, and what they say about a variable that is missing or invalid."""

from __future__ import annotations

from pathlib import Path

import pytest

from switchyard.cli.app.errors import CommandFailed
from switchyard.cli.app.settings import CliSettings


def test_settings_of_an_empty_environment_have_their_defaults() -> None:
    settings = CliSettings.read({})
    assert (settings.db_auth, settings.checkpoint_log, settings.aws_region) == ("password", "main", "us-east-1")
    assert settings.kms_key_id is None


def test_settings_read_the_given_environment_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWITCHYARD_AUDIT_DB_URL", "postgresql://elsewhere")
    settings = CliSettings.read({
        "SWITCHYARD_AUDIT_DB_URL": "postgresql://here",
        "SWITCHYARD_CHECKPOINT_REQUIRE_LOCK": "false",
        "SWITCHYARD_CLOCK_FILE": "/clock",
        "AWS_REGION": "eu-west-1",
    })  # fmt: skip
    assert settings.audit_db_url == "postgresql://here"
    assert settings.clock_file == Path("/clock")
    assert (settings.checkpoint_require_lock, settings.aws_region) == (False, "eu-west-1")


@pytest.mark.parametrize("value", [{}, {"SWITCHYARD_REVIEWER_DB_URL": ""}])
def test_missing_variable_is_named_with_purpose_and_remedy(value: dict[str, str]) -> None:
    settings = CliSettings.read(value)
    with pytest.raises(CommandFailed, match="SWITCHYARD_REVIEWER_DB_URL is not set: expected the address") as caught:
        _ = settings.reviewer_db_url
    assert caught.value.remedy == "export SWITCHYARD_REVIEWER_DB_URL, or use --env local with a running stack"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SWITCHYARD_DB_AUTH", "magic"),
        ("SWITCHYARD_CHECKPOINT_LOCK_MODE", "SOFT"),
        ("SWITCHYARD_VAULT_KEY", "hunter2"),
        ("SWITCHYARD_STATE_KEYS", '{"k1": "hunter2"}'),
        ("SWITCHYARD_PRINCIPAL_KEYS", '{"ingress": {}}'),
    ],
)
def test_invalid_variable_is_named_without_its_value(variable: str, value: str) -> None:
    with pytest.raises(CommandFailed, match=f"{variable} is invalid") as caught:
        CliSettings.read({variable: value})
    assert value not in caught.value.message


def test_misspelt_variable_is_refused_with_the_right_name() -> None:
    with pytest.raises(CommandFailed, match="SWITCHYARD_OPERATR_KEY is unknown") as caught:
        CliSettings.read({"SWITCHYARD_OPERATR_KEY": "hunter2", "SWITCHYARD_HOME": "/home"})
    assert caught.value.remedy == "rename it SWITCHYARD_OPERATOR_KEY, or unset it"

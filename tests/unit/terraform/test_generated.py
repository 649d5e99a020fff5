"""The files in terraform/generated are up to date, and every process starts with the settings in them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from services.app import APP
from switchyard.app.generated_files import stale_files
from switchyard.case_manager.principals import PrincipalKeys
from switchyard.cli.app.settings import CliSettings
from switchyard.infra.generate import GENERATED_FOLDER, main, terraform_files
from switchyard.infra.settings_page import process_settings, variable_name
from switchyard.processes.case_manager_settings import CaseManagerSettings
from switchyard.runtime.models.clients import ModelSettings
from tests.holdings import secret_variables
from tests.reference import consumers, feedback_consumer, needs, topology
from tests.unit.terraform.reading import ENVIRONMENTS, values
from tests.unit.terraform.rendering import rendered

SETTINGS = process_settings(APP)
KEY = "00" * 32
OF_A_PERSON = {"SWITCHYARD_MODEL_BEDROCK_SECRET_ACCESS_KEY", "SWITCHYARD_MODEL_BEDROCK_SESSION_TOKEN"}
"""What `stack up --model bedrock:…` gives a laptop's processes. In a deployment the task's role stands for them."""

VALUES = {"state_keys": f'{{"k": "{KEY}"}}', "console_keys": f'{{"2026": "{KEY}"}}', "optout_keys": f'{{"k": "{KEY}"}}'}


def test_committed_files_are_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"]) == 0, capsys.readouterr().out


def test_check_lists_changed_missing_and_left_over_files(tmp_path: Path) -> None:
    made = terraform_files(APP)
    assert main([], tmp_path) == 0
    assert stale_files(tmp_path, made) == []
    (tmp_path / "topology.json").write_text("{}")
    (tmp_path / "iam" / "router.task.json").unlink()
    (tmp_path / "iam" / "gone.task.json").write_text("{}")
    assert stale_files(tmp_path, made) == ["iam/gone.task.json", "iam/router.task.json", "topology.json"]
    assert main(["--check"], tmp_path) == 1


def test_queues_and_rules_are_those_of_the_local_stack() -> None:
    found = topology()["consumers"]
    for consumer in (*consumers(), feedback_consumer()):
        made = found[consumer.node]
        assert (made["queue"], made["dead_letter_queue"]) == (consumer.queue, consumer.dead_letter_queue)
        assert made["lanes"] == list(consumer.lanes)
        assert made["rules"] == {
            rule.name: {"bus": rule.bus, "pattern": rule.pattern_json, "queue": rule.queue} for rule in consumer.rules
        }
    assert set(found) == {consumer.node for consumer in (*consumers(), feedback_consumer())}


def test_event_patterns_are_within_the_limit_of_eventbridge() -> None:
    for consumer in topology()["consumers"].values():
        for rule in consumer["rules"].values():
            assert len(rule["pattern"]) <= 2_048


@pytest.mark.parametrize("node", list(needs()))
def test_container_has_all_settings_of_its_process(node: str, monkeypatch: pytest.MonkeyPatch) -> None:
    container = rendered(f"containers/{node}.json")
    for variable in container["environment"]:
        monkeypatch.setenv(variable["name"], variable["value"])
    for secret in container["secrets"]:
        monkeypatch.setenv(secret["name"], VALUES.get(needs()[node].secrets[secret["name"]], KEY))
    for settings in SETTINGS[node]:
        settings()  # an error names what is missing
    assert (ModelSettings().openai_secret_arn is not None) == ("openai" in needs()[node].egress)
    known = {variable_name(settings, name) for settings in SETTINGS[node] for name in settings.model_fields}
    assert {each["name"] for part in container.values() for each in part} <= known


@pytest.mark.parametrize("node", list(needs()))
def test_secrets_of_a_process_are_those_that_its_settings_name(node: str) -> None:
    wanted = {variable for settings in SETTINGS[node] for variable in secret_variables(settings)} - OF_A_PERSON
    assert set(needs()[node].held) == wanted


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_settings_of_an_environment_are_valid_for_their_process(
    environment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = dict(values(environment)["settings"])
    assert set(given.pop("operations")) <= set(map(CliSettings.variable_of, CliSettings.model_fields))
    for node, own in given.items():
        for variable in rendered(f"containers/{node}.json")["environment"]:
            monkeypatch.setenv(variable["name"], variable["value"])
        for secret in needs()[node].secrets:
            monkeypatch.setenv(secret, VALUES.get(needs()[node].secrets[secret], KEY))
        settings = SETTINGS[node][0]
        assert set(own) <= {variable_name(settings, name) for name in settings.model_fields}
        for name, value in own.items():
            monkeypatch.setenv(name, value)
        settings()  # an error names the invalid setting


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_case_manager_requires_signatures_of_the_ingress(environment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = values(environment)["settings"]["case_manager"]["SWITCHYARD_PRINCIPAL_KEYS"]
    monkeypatch.setenv("SWITCHYARD_PRINCIPAL_KEYS", keys)
    monkeypatch.setenv("SWITCHYARD_MAC_KEY", KEY)
    monkeypatch.setenv("SWITCHYARD_PERSON_KEY", KEY)
    monkeypatch.setenv("SWITCHYARD_WORK_DB_URL", "postgresql://case manager@localhost/work")
    principals = PrincipalKeys(CaseManagerSettings().principal_keys)
    assert principals.must_sign(topology()["ingress_source"])
    assert not principals.must_sign("upstream.email_feedback")


def test_plain_variables_have_no_secret() -> None:
    for path in (GENERATED_FOLDER / "containers").rglob("*.json"):
        for variable in json.loads(path.read_text())["environment"]:
            assert "KEYS" not in variable["name"].replace("PUBLIC_KEYS", "")
            assert "TOKEN" not in variable["name"].removesuffix("_TOKEN_URL")
            assert "@" not in variable["value"] or ":" not in variable["value"].split("//")[1].split("@")[0]

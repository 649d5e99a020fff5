"""docker-compose.yml as text: its services, their settings and rights. `make compose-demo` runs it."""

from __future__ import annotations

import base64
import json
import re
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.app import APP
from switchyard.app.application import resource_path
from switchyard.devstack.stack.endpoints import Endpoints, sdk_environment
from switchyard.devstack.stack.identity import identity_environment
from switchyard.devstack.stack.local_stack import (
    LOCAL_OPERATOR,
    list_services,
    operator_environment,
    reader_environment,
    simulator_scripts,
)
from switchyard.devstack.stack.provisioner import ProvisionerSettings
from switchyard.infra.nodes import NodeNeeds
from switchyard.infra.settings_page import process_settings, variable_name
from switchyard.protocol.signing import derive_public_key
from switchyard.protocol.topology import VISIBILITY_SECONDS
from switchyard.runtime.core.settings import InvalidSettings
from switchyard.runtime.crypto.signing import LocalSigner
from switchyard.runtime.models.clients import ModelSettings
from tests.holdings import secrets_in
from tests.reference import images, needs

ROOT = Path(__file__).resolve().parents[2]
INFRASTRUCTURE = {"localstack", "postgres"}
SIMULATORS = {"provisioner", "simulator", "ses-simulator", "warehouse", "work-orders"}
IDENTITY_SERVERS = {"identity-provider", "token-exchange"}
"""Servers of others, built from their own lock."""
OBSERVABILITY = {"collector", "traces"}
KEYCLOAK = "keycloak"
PUBLISHED = {
    "localstack": 4566,
    "postgres": 5432,
    "simulator": 8080,
    "ses-simulator": 8080,
    "email-feedback": 8081,
    "keycloak": 8080,
    "api": 8081,
    "console": 8081,
    "identity-provider": 8080,
    "traces": 16686,
}
VARIABLE = re.compile(r"\$\{(\w+):-([^}]*)\}")


@cache
def compose() -> dict[str, Any]:
    """The file with every variable at its default, inserted after the YAML is parsed, as Compose does it."""
    filled: dict[str, Any] = _filled(yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8")))
    return filled


def _filled(part: Any) -> Any:
    match part:
        case str():
            return VARIABLE.sub(lambda found: found[2], part)
        case list():
            return [_filled(each) for each in part]
        case dict():
            return {name: _filled(value) for name, value in part.items()}
    return part


def service(name: str) -> dict[str, Any]:
    found: dict[str, Any] = compose()["services"][name]
    return found


def environment(name: str) -> dict[str, str]:
    found: dict[str, str] = service(name)["environment"]
    return found


def processes() -> dict[str, NodeNeeds]:
    """Each process of the catalogue, by the name of its compose service."""
    return {node.replace("_", "-"): needed for node, needed in needs().items()}


OURS = sorted({*processes(), *SIMULATORS, *IDENTITY_SERVERS})
each_process = pytest.mark.parametrize("name", sorted(processes()))
each_of_ours = pytest.mark.parametrize("name", OURS)


def test_services_are_the_consumers_the_simulators_and_the_infrastructure() -> None:
    assert set(compose()["services"]) == {
        *processes(),
        *INFRASTRUCTURE,
        *SIMULATORS,
        *IDENTITY_SERVERS,
        *OBSERVABILITY,
        KEYCLOAK,
    }


@pytest.mark.parametrize("name", sorted({*processes(), *SIMULATORS}))
def test_own_container_is_built_for_the_service_of_its_name(name: str) -> None:
    image = "simulators" if name in SIMULATORS else name
    assert image in images()
    built = service(name)
    assert built["build"] == {"context": ".", "args": {"REVISION": "dev", "SERVICE": image}}
    assert built["image"] == f"switchyard/{image}:dev"


@pytest.mark.parametrize("name", sorted(IDENTITY_SERVERS))
def test_identity_server_is_built_from_its_own_stage(name: str) -> None:
    built = service(name)
    arguments = {"REVISION": "dev", "SERVICE": "simulators"}
    assert built["build"] == {"context": ".", "target": "identity-servers", "args": arguments}
    assert built["image"] == "switchyard/identity-servers:dev"


@each_of_ours
def test_own_container_can_write_to_its_temporary_folder_only(name: str) -> None:
    found = service(name)
    assert found["read_only"] is True
    assert found["cap_drop"] == ["ALL"]
    assert found["security_opt"] == ["no-new-privileges:true"]
    assert found["pids_limit"] <= 256
    assert found["mem_limit"].endswith("m")
    assert all(folder.startswith("/tmp:size=") for folder in found["tmpfs"])
    shared = {"provisioner": {"certificates:/certificates"}, "token-exchange": {"identity:/identity"}}
    assert {each for each in found.get("volumes", ()) if not each.endswith(":ro")} == shared.get(name, set())
    assert not {"privileged", "cap_add", "devices", "user", "pid", "network_mode"} & set(found)


@pytest.mark.parametrize("name", [*sorted(compose()["services"])])
def test_port_is_published_on_loopback_by_few_services(name: str) -> None:
    found = service(name)
    ports = [re.fullmatch(r"127\.0\.0\.1:(\d+):(\d+)", port) for port in found.get("ports", ())]
    assert [int(port[2]) for port in ports if port] == ([PUBLISHED[name]] if name in PUBLISHED else [])
    assert all(ports)
    # Docker publishes no port of a container that is on internal networks alone.
    assert found["networks"] == (["inside", "outside"] if name in PUBLISHED else ["inside"])
    assert "container_name" not in found, "a fixed name keeps a service from being scaled"


def test_published_ports_have_variables_and_distinct_defaults() -> None:
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    ports = [VARIABLE.search(line) for line in re.findall(r'ports: \["(.*)"\]', text)]
    assert len({port[2] for port in ports if port}) == len(ports) == len(PUBLISHED)
    assert "5432" not in {port[2] for port in ports if port}, "a developer's own PostgreSQL listens there"


def test_networks_are_an_internal_one_and_one_for_published_ports() -> None:
    assert compose()["networks"] == {"inside": {"internal": True}, "outside": {}}


@each_process
def test_process_waits_for_the_provisioner_and_has_time_to_drain(name: str) -> None:
    found = service(name)
    assert found["depends_on"]["provisioner"] == {"condition": "service_healthy"}
    assert {each["condition"] for each in found["depends_on"].values()} == {"service_healthy"}
    assert found["restart"] == "unless-stopped"
    assert float(found["stop_grace_period"].removesuffix("s")) >= float(environment(name)["SWITCHYARD_DRAIN_S"]) + 5


@each_process
def test_process_starts_with_exactly_the_settings_of_compose(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    classes = process_settings(APP)[needs_of(name).node]
    known = {variable_name(settings, field) for settings in classes for field in settings.model_fields}
    known |= set(compose()["x-aws"])  # the SDK's own
    assert set(environment(name)) <= known
    for variable in known:
        monkeypatch.delenv(variable, raising=False)
    for variable, value in environment(name).items():
        assert isinstance(value, str), f"{variable} must be a string: YAML reads it as {type(value).__name__}"
        monkeypatch.setenv(variable, value)
    loaded, *models = [settings() for settings in classes]  # an error names what is missing
    assert loaded.model_dump()["otlp_endpoint"] is None, "tracing is off by default"
    assert len(models) == needs_of(name).bedrock
    assert ModelSettings().bedrock_endpoint_url == ("http://simulator:8080" if needs_of(name).bedrock else None)


@each_process
def test_process_has_the_settings_of_the_local_stack(name: str) -> None:
    endpoints = Endpoints(postgres_port=1, emulator_port=2, simulator_port=3, password="p")
    [local] = (each for each in list_services(endpoints) if each.name == needs_of(name).node)
    elsewhere = {*compose()["x-aws"], *sdk_environment(endpoints.aws), "SWITCHYARD_CLOCK_FILE"}
    # In a container a server listens on every address, and email-feedback does not read the address of its own page.
    added = {f"{needs_of(name).http}_HOST"} if needs_of(name).http else set()
    unread = {"SWITCHYARD_OPTOUT_URL"} if name == "email-feedback" else set()
    assert set(environment(name)) - elsewhere - added == set(local.env) - elsewhere - unread


def test_public_page_has_its_own_port() -> None:
    endpoints = Endpoints(postgres_port=1, emulator_port=2, simulator_port=3, password="p")
    for service_ in list_services(endpoints):
        ports = {value for value in service_.env.values() if value.startswith("{port:")}
        assert f"{{port:{service_.name}}}" not in ports, "its health page listens there"


@each_process
def test_process_logs_in_with_its_own_role_to_its_own_database(name: str) -> None:
    urls = {variable: value for variable, value in environment(name).items() if value.startswith("postgresql://")}
    needed = needs_of(name)
    expected = {
        None: {},
        "work": {"SWITCHYARD_WORK_DB_URL": "work"},
        "audit": {"SWITCHYARD_AUDIT_DB_URL": "audit"},
    }[needed.database]
    password = compose()["x-development"]["role-password"]
    logins = {variable: (needed.node, database) for variable, database in expected.items()}
    if needed.log_reader is not None:
        logins["SWITCHYARD_AUDIT_DB_URL"] = (needed.log_reader, "audit")
    assert urls == {
        variable: f"postgresql://{role}:{password}@postgres:5432/{database}"
        for variable, (role, database) in logins.items()
    }


@each_process
def test_process_has_its_own_secrets_only(name: str) -> None:
    assert set(secrets_in(environment(name))) == set(needs_of(name).held)


@pytest.mark.parametrize("name", sorted(SIMULATORS - {"provisioner"}))
def test_simulator_has_no_secret(name: str) -> None:
    assert secrets_in(environment(name) if "environment" in service(name) else {}) == {}


def needs_of(name: str) -> NodeNeeds:
    return processes()[name]


def test_provisioner_has_its_settings_and_those_of_an_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoints = Endpoints(postgres_port=1, emulator_port=2, simulator_port=3, password="p")
    wanted = {
        *reader_environment(endpoints),
        *operator_environment(endpoints),
        "SWITCHYARD_WORK_DB_OWNER_URL",
        "SWITCHYARD_AUDIT_DB_OWNER_URL",
    }
    given = environment("provisioner")
    assert wanted <= set(given)
    for variable, value in given.items():
        monkeypatch.setenv(variable, value)
    settings = ProvisionerSettings()
    assert settings.role_password.get_secret_value() == compose()["x-development"]["role-password"]
    assert settings.visibility_s == float(environment("case-manager")["SWITCHYARD_VISIBILITY_S"]) == VISIBILITY_SECONDS
    roles = {reading_url: url.split("//")[1].split(":")[0] for reading_url, url in given.items() if "//" in url}
    for variable, url in (reader_environment(endpoints) | operator_environment(endpoints)).items():
        if url.startswith("postgresql://"):
            assert roles[variable] == url.split("//")[1].split(":")[0]
    monkeypatch.delenv("SWITCHYARD_ROLE_PASSWORD")
    with pytest.raises(InvalidSettings, match="SWITCHYARD_ROLE_PASSWORD is missing"):
        ProvisionerSettings()


def test_keys_are_marked_for_development_and_match_their_public_keys() -> None:
    given = environment("provisioner")
    values = [*compose()["x-development"].values(), given["SWITCHYARD_OPERATOR_KEY"], given["SWITCHYARD_RECEIPT_KEY"]]
    private = [key for value in values for key in re.findall(r"\b[0-9a-f]{64}\b", value)]
    operators = yaml.safe_load(compose()["x-development"]["operators"])
    ingress_key = yaml.safe_load(compose()["x-development"]["principal-keys"])["upstream.ingress"]["local"]
    assert ingress_key == derive_public_key(bytes.fromhex(compose()["x-development"]["ingress-key"]))
    texts = [bytes.fromhex(key) for key in private if key not in operators.values() and key != ingress_key]
    assert len({*texts}) == len(texts) == 15
    assert all(text.startswith(b"development only: ") and len(text) == 32 for text in texts)
    assert operators == {LOCAL_OPERATOR: derive_public_key(bytes.fromhex(given["SWITCHYARD_OPERATOR_KEY"]))}
    for name, key in (
        ("CHECKPOINT", compose()["x-development"]["checkpoint-key"]),
        ("RECEIPT", given["SWITCHYARD_RECEIPT_KEY"]),
    ):
        public = base64.b64encode(LocalSigner(bytes.fromhex(key)).public).decode()
        assert given[f"SWITCHYARD_{name}_PUBLIC_KEYS"] == public


def test_identity_servers_know_the_users_clients_and_ceilings_of_the_application() -> None:
    identity = APP.identity
    assert identity is not None
    command = service("token-exchange")["command"]
    assert json.loads(command[command.index("--clients") + 1]) == identity.exchange_clients()
    words = service("identity-provider")["command"].split()
    assert ROOT / words[words.index("--users") + 1] == resource_path(identity.users)
    endpoints = Endpoints(postgres_port=1, emulator_port=2, simulator_port=3, password="p")
    local = identity_environment(endpoints, identity)
    for name in ("IDENTITY_CALLERS", "IDENTITY_CEILINGS", "SERVICE_GRANTS"):
        given = environment("identity")[f"SWITCHYARD_{name}"]
        assert json.loads(given) == json.loads(local[f"SWITCHYARD_{name}"])


def test_agent_that_acts_for_users_has_a_certificate_and_no_clients() -> None:
    assert APP.identity is not None
    for agent in APP.identity.agents:
        name = agent.replace("_", "-")
        given = environment(name)
        assert given["SWITCHYARD_IDENTITY_URL"] == "https://identity:8081"
        assert given["SWITCHYARD_IDENTITY_TLS_CERTIFICATE"] == f"/certificates/{agent}.pem"
        assert given["SWITCHYARD_IDENTITY_TLS_KEY"] == f"/certificates/{agent}.key"
        assert not [volume for volume in service(name)["volumes"] if volume.startswith("identity:")]


@pytest.mark.parametrize("name", sorted(IDENTITY_SERVERS))
def test_identity_server_has_one_secret_of_its_own(name: str) -> None:
    """The provider has one for each client, which the client has, too."""
    clients = {"identity", "console"} if name == "identity-provider" else {name}
    found = [
        {each for each in OURS if secret in secrets_in(service(each).get("environment", {})).values()}
        for secret in secrets_in(environment(name)).values()
    ]
    assert sorted(found, key=sorted) == sorted(({name, client} for client in clients), key=sorted)


def test_keycloak_has_the_users_of_its_tenant_and_starts_in_its_profile_only() -> None:
    realm = json.loads((ROOT / "docker" / "keycloak" / "northfork-realm.json").read_text(encoding="utf-8"))
    assert APP.identity is not None
    users = yaml.safe_load(resource_path(APP.identity.users).read_text(encoding="utf-8"))["users"]
    assert {
        user["username"]: (user["credentials"][0]["value"], user["email"], user["clientRoles"]["warehouse"])
        for user in realm["users"]
    } == {
        name: (user["password"], user["email"], user["roles"])
        for name, user in users.items()
        if user["tenant"] == realm["realm"]
    }
    assert service(KEYCLOAK)["profiles"] == ["keycloak"]
    assert not service(KEYCLOAK)["image"].endswith("latest")


def test_simulator_has_the_scripts_of_the_demo() -> None:
    words = service("simulator")["command"].split()
    given = tuple(ROOT / word for before, word in pairwise(words) if before == "--script")
    assert given == simulator_scripts()


def test_collector_receives_otlp_and_exports_to_the_trace_viewer() -> None:
    config = yaml.safe_load((ROOT / "docker" / "observability" / "collector.yaml").read_text(encoding="utf-8"))
    pipelines = config["service"]["pipelines"]
    assert set(pipelines) == {"traces", "metrics"}, "the services export both"
    for kind in ("receivers", "processors", "exporters"):
        used = {part for pipeline in pipelines.values() for part in pipeline[kind]}
        assert used == set(config[kind]), "every part must be used by a pipeline"
    assert config["receivers"]["otlp"]["protocols"]["http"]["endpoint"].endswith(":4318")
    assert config["exporters"]["otlp/traces"]["endpoint"].split(":")[0] == "traces"
    assert all(service(name)["profiles"] == ["observability"] for name in OBSERVABILITY)
    assert not [
        image for name in (*OBSERVABILITY, *INFRASTRUCTURE) if (image := service(name)["image"]).endswith("latest")
    ]

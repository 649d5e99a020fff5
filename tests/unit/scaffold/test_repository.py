"""`switchyard new`: what it writes, and what it says when it cannot."""

from __future__ import annotations

import json
import os
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from switchyard.cli.app.errors import InvalidArgument
from switchyard.cli.app.main import app
from switchyard.scaffold.repository import (
    CHECKOUT,
    COPIED,
    DISTRIBUTIONS,
    PLACEHOLDER,
    TEMPLATES,
    CannotCreate,
    create_repository,
    shipped,
)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a name of its own."""
    return create_repository(tmp_path_factory.mktemp("new") / "blue-harbor")


def test_repository_has_the_layout_of_ours(repository: Path) -> None:
    ours = {"contracts", "services", "demo", "evals", "tests", "docker", "terraform", "docs"}
    files = {"Makefile", "README.md", "pyproject.toml", "Dockerfile", "docker-compose.yml", ".gitignore"}
    assert {path.name for path in repository.iterdir()} >= ours | files


def test_repository_bears_its_own_name_only(repository: Path) -> None:
    written = [path for path in repository.rglob("*") if path.is_file()]
    # The modules are the same everywhere, and their examples have a name of their own.
    texts = [path for path in written if "modules" not in path.parts and path.suffix not in {".pem", ".lock"}]
    assert [path for path in texts if PLACEHOLDER in path.read_text(encoding="utf-8")] == []
    assert "blue-harbor" in (repository / "pyproject.toml").read_text(encoding="utf-8")


def test_terraform_data_schemas_and_settings_are_generated_from_its_app(repository: Path) -> None:
    topology = json.loads((repository / "terraform" / "generated" / "topology.json").read_text(encoding="utf-8"))
    assert set(topology["consumers"]) == {"router", "case_manager", "assistant", "audit"}
    assert set(topology["servers"]) == {"api", "console"}
    assert topology["ingress_routes"] == ["cases", "feedback"]
    assert not any("identity" in name for name in topology["secrets"])
    assert (repository / "contracts" / "schemas" / "RequestSubmitted.v1.json").exists()
    assert "SWITCHYARD_MODEL_BEDROCK_ID" in (repository / "docs/operate/settings.md").read_text(encoding="utf-8")
    images = json.loads((repository / "terraform" / "generated" / "images.json").read_text(encoding="utf-8"))
    assert set(images) == {
        "router",
        "case-manager",
        "assistant",
        "api",
        "console",
        "audit",
        "cli",
        "ingress",
        "simulators",
    }
    assert {path for image in images.values() for path in image["code"]} == {
        "contracts",
        "services",
        "demo",
        "demo/*.py",
    }


def test_repository_holds_no_file_that_was_made_by_running_it(repository: Path) -> None:
    assert not [path for path in repository.rglob("*") if path.name in {"__pycache__", ".pytest_cache", ".switchyard"}]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("Acme", "Acme is not a name"),
        ("a", "a is not a name"),
        ("2fast", "2fast is not a name"),
        ("my_app", "my_app is not a name"),
    ],
)
def test_new_with_a_bad_name_names_it(tmp_path: Path, name: str, problem: str) -> None:
    with pytest.raises(CannotCreate, match=problem) as raised:
        create_repository(tmp_path / name)
    assert "lower-case letters" in raised.value.remedy
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["folder", "file", "broken link"])
def test_new_where_the_name_is_taken_leaves_it_alone(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "harbor"
    if kind == "folder":
        place.mkdir()
    elif kind == "file":
        place.write_text("mine", encoding="utf-8")
    else:
        place.symlink_to(tmp_path / "absent")
    with pytest.raises(CannotCreate, match="harbor exists"):
        create_repository(place)
    assert [path.name for path in tmp_path.iterdir()] == ["harbor"]


def test_new_in_a_folder_that_does_not_exist_names_it(tmp_path: Path) -> None:
    with pytest.raises(CannotCreate, match="absent is not a folder"):
        create_repository(tmp_path / "absent" / "harbor")


def test_new_without_permission_names_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The tests may run as root, whom no mode stops: the system's answer is given in its place.
    def refuse(*_: object, **__: object) -> str:
        raise PermissionError(13, os.strerror(13), str(tmp_path))

    monkeypatch.setattr("switchyard.scaffold.repository.tempfile.mkdtemp", refuse)
    with pytest.raises(CannotCreate, match=f"{tmp_path} cannot be written: Permission denied"):
        create_repository(tmp_path / "harbor")


def test_new_with_a_folder_without_wheels_names_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "dist").mkdir()
    with pytest.raises(CannotCreate, match=f"no wheel of {DISTRIBUTIONS[0]} {version(DISTRIBUTIONS[0])}"):
        create_repository(tmp_path / "harbor", wheels=tmp_path / "dist")
    assert not (tmp_path / "harbor").exists()


def test_failure_half_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, os.strerror(28), str(tmp_path))

    monkeypatch.setattr("switchyard.scaffold.repository._generate", fail)
    with pytest.raises(CannotCreate, match="No space left"):
        create_repository(tmp_path / "harbor")
    assert list(tmp_path.iterdir()) == []


def test_command_prints_the_next_step_and_refuses_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("switchyard.scaffold.repository._generate", lambda *_: None)
    done = CliRunner().invoke(app, ["new", str(tmp_path / "harbor")])
    assert done.exit_code == 0
    assert "make demo" in done.output
    refused = CliRunner().invoke(app, ["new", str(tmp_path / "harbor")])
    assert isinstance(refused.exception, InvalidArgument)
    assert "exists" in str(refused.exception)


def test_wheel_holds_everything_that_is_copied() -> None:
    pyproject = (CHECKOUT / "pyproject.toml").read_text(encoding="utf-8")
    for source in COPIED:
        assert shipped(source).exists()
        if not source.startswith("switchyard/"):
            assert f'"{source}" = "switchyard/scaffold/shipped/{source}"' in pyproject


def test_lock_has_the_versions_of_ours() -> None:
    def pins(path: Path) -> set[str]:
        return {line.split()[0] for line in path.read_text(encoding="utf-8").splitlines() if "==" in line}

    lock = pins(TEMPLATES / "requirements.lock")
    assert lock <= pins(CHECKOUT / "requirements.lock")
    assert {each.partition("==")[0] for each in lock} >= {"pytest", "jinja2", "asyncpg", "typer"}


def test_compose_file_runs_each_process_with_the_local_stacks_variables(repository: Path) -> None:
    services = yaml.safe_load((repository / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    infrastructure = {"localstack", "postgres", "provisioner", "simulator", "identity-provider"}
    assert set(services) == infrastructure | {"router", "case-manager", "assistant", "api", "console", "audit"}
    assistant = services["assistant"]["environment"]
    assert assistant["SWITCHYARD_WORK_DB_URL"] == "postgresql://assistant:development@postgres:5432/work"
    assert assistant["SWITCHYARD_MODEL_BEDROCK_ENDPOINT_URL"] == "http://simulator:8080"
    assert "SWITCHYARD_AUDIT_DB_URL" not in assistant
    console = services["console"]
    assert console["ports"] == ["127.0.0.1:18090:8081"]
    assert console["environment"]["SWITCHYARD_CONSOLE_URL"] == "http://127.0.0.1:18090"
    assert console["environment"]["SWITCHYARD_IDP_TOKEN_URL"] == "http://identity-provider:8080/token"
    assert console["environment"]["SWITCHYARD_IDP_AUTHORIZE_URL"] == "http://127.0.0.1:18088/authorize"
    api = services["api"]
    function = json.loads(api["environment"]["SWITCHYARD_API_FUNCTION"])
    assert api["ports"] == ["127.0.0.1:18080:8081"]
    assert function["issuer"] == api["environment"]["SWITCHYARD_IDP_ISSUER"] == "http://identity-provider:8080"
    assert not {"identity_url", "grant_policy"} & function.keys()
    assert "upstream.ingress" in services["case-manager"]["environment"]["SWITCHYARD_PRINCIPAL_KEYS"]
    assert "SWITCHYARD_INGRESS_KEY" in services["provisioner"]["environment"]
    for name, service in services.items():
        for value in map(str, service.get("environment", {}).values()):
            assert "{port:" not in value, name
        assert not [part for part in service.get("command", ()) if part.startswith("/") and part != "/tmp/provider"]

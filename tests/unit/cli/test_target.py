"""The deployment that a command uses, and the error if it is not running."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from switchyard.cli.app.errors import CommandFailed
from switchyard.cli.app.main import app
from switchyard.cli.app.target import Env, resolve_target
from switchyard.devstack.stack.compose import published_addresses, rewrite_for_host

COMPOSE_UP = "docker compose up --build --wait"


def container(service: str, *ports: tuple[int, int], health: str = "healthy") -> dict[str, Any]:
    """A line of `docker compose ps --format json`, as Compose 2.40 writes it."""
    publishers = [
        {"URL": "127.0.0.1", "TargetPort": inner, "PublishedPort": outer, "Protocol": "tcp"} for inner, outer in ports
    ]
    return {"Service": service, "State": "running", "Health": health, "Publishers": publishers}


RUNNING = [
    container("provisioner"),
    container("postgres", (5432, 25432)),
    container("localstack", (4566, 14566), (4510, 0)),
    container("text-to-sql"),
    container("text-to-sql"),
]
VAULT_KEY = "64657665" * 8
PROVISIONER = {
    "environment": {
        "AWS_ENDPOINT_URL": "http://localstack:4566",
        "SWITCHYARD_WORK_DB_OWNER_URL": "postgresql://owner:development@postgres:5432/work",
        "SWITCHYARD_CLOCK_FILE": "/clock/shift",
        "SWITCHYARD_VAULT_KEY": VAULT_KEY,
    },
    "volumes": [{"type": "bind", "source": "/home/ana/switchyard/docker/clock", "target": "/clock"}],
}


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the whole PATH, for a `docker` of the test."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("COMPOSE_FILE", raising=False)
    return tmp_path


def answering(folder: Path, containers: list[dict[str, Any]], *, as_list: bool = False) -> None:
    """Put a `docker` there that says what runs."""
    lines = json.dumps(containers) if as_list else "\n".join(json.dumps(each) for each in containers)
    (folder / "ps").write_text(lines)
    (folder / "config").write_text(json.dumps({"services": {"provisioner": PROVISIONER}}))
    script = f"""#!{sys.executable}
import pathlib, sys
assert sys.argv[1:3] == ["compose", "--file"] and sys.argv[3].endswith("docker-compose.yml"), sys.argv
sys.stdout.write(pathlib.Path({str(folder)!r}, sys.argv[4]).read_text())
"""
    (folder / "docker").write_text(script)
    (folder / "docker").chmod(0o755)


@pytest.mark.parametrize("as_list", [False, True])
def test_compose_addresses_are_the_published_ports(docker: Path, as_list: bool) -> None:
    answering(docker, RUNNING, as_list=as_list)
    target = resolve_target(Env.COMPOSE)
    assert target.settings.aws_endpoint_url == "http://127.0.0.1:14566"
    assert target.settings.work_db_owner_url == "postgresql://owner:development@127.0.0.1:25432/work"
    assert target.settings.clock_file == Path("/home/ana/switchyard/docker/clock/shift")
    assert target.settings.vault_key.hex() == VAULT_KEY


def test_unpublished_address_is_kept() -> None:
    assert (
        rewrite_for_host("http://warehouse:8080", {"ses-simulator:8080": "127.0.0.1:1"}, {}) == "http://warehouse:8080"
    )
    assert published_addresses(RUNNING) == {"postgres:5432": "127.0.0.1:25432", "localstack:4566": "127.0.0.1:14566"}


@pytest.mark.parametrize("containers", [[], [container("postgres", (5432, 1))], [container("provisioner", health="")]])
def test_compose_stack_down_names_the_start_command(docker: Path, containers: list[dict[str, Any]]) -> None:
    answering(docker, containers)
    with pytest.raises(CommandFailed, match="the docker compose stack is not up") as caught:
        resolve_target(Env.COMPOSE)
    assert caught.value.remedy == COMPOSE_UP


def test_missing_docker_command_is_reported(docker: Path) -> None:
    with pytest.raises(CommandFailed, match="there is no `docker` command"):
        resolve_target(Env.COMPOSE)


def test_failure_of_docker_is_passed_on(docker: Path) -> None:
    (docker / "docker").write_text(f"#!{sys.executable}\nimport sys\nsys.exit('Cannot connect to the Docker daemon')\n")
    (docker / "docker").chmod(0o755)
    with pytest.raises(CommandFailed, match=r"`docker compose ps` failed: Cannot connect to the Docker daemon"):
        resolve_target(Env.COMPOSE)


def test_switchyard_env_selects_the_deployment(docker: Path) -> None:
    result = CliRunner().invoke(app, ["approval", "list"], env={"SWITCHYARD_ENV": "compose"})
    assert isinstance(result.exception, CommandFailed)
    assert result.exception.remedy == COMPOSE_UP
    result = CliRunner().invoke(app, ["demo"], env={"SWITCHYARD_ENV": "aws"})
    assert str(result.exception) == "the demo runs on emulators only"


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--help"], 0, "Run a team of AI agents"),
        (["case", "list"], 1, "this installation cannot run a stack"),
        (["case", "list", "--env", "compose"], 1, "this installation cannot run a stack"),
        (["stack", "up"], 1, "this installation cannot run a stack"),
        (["demo"], 1, "this installation cannot run a stack"),
        (["case", "list", "--env", "aws"], 1, "SWITCHYARD_AUDIT_DB_URL is not set"),
    ],
)
def test_installation_without_devstack_names_the_remedy(arguments: list[str], status: int, message: str) -> None:
    code = f"import sys; sys.modules['switchyard.devstack'] = None; sys.argv[1:] = {arguments!r}; "
    code += "from switchyard.cli.app.main import run_cli; run_cli()"
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={"PATH": "/usr/bin:/bin", "COLUMNS": "200"},
    )
    assert (ran.returncode, message in ran.stdout + ran.stderr) == (status, True), ran.stdout + ran.stderr
    assert "Traceback" not in ran.stderr

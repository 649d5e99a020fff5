"""The compose file that `switchyard new` writes, read by docker compose itself."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from switchyard.scaffold.repository import create_repository

pytestmark = pytest.mark.compose


def test_compose_file_of_a_new_repository_is_understood_by_docker_compose(tmp_path: Path) -> None:
    folder = create_repository(tmp_path / "harbor")
    done = subprocess.run(
        ["docker", "compose", "--file", "docker-compose.yml", "config", "--format", "json"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    images = json.loads((folder / "terraform" / "generated" / "images.json").read_text(encoding="utf-8"))
    built = {service["build"]["args"]["SERVICE"] for service in found["services"].values() if "build" in service}
    assert {"assistant", "audit", "case-manager", "console", "router"} <= built
    assert built <= {*images, "simulators"}
    ports = [port for service in found["services"].values() for port in service.get("ports") or ()]
    assert {port["host_ip"] for port in ports} == {"127.0.0.1"}

"""Each task starts with exactly the settings that ECS would give it, and nothing else of this machine."""

from __future__ import annotations

import time

import pytest

from services.app import APP
from switchyard.infra.operations import JOBS, operations
from tests.reference import topology
from tests.task_containers.cloud import Cloud
from tests.task_containers.tasks import tasks

SERVICES = sorted(topology()["consumers"] | topology()["servers"])
HEALTHY_S = 180.0
COMMAND_S = 120


def test_each_process_role_and_job_has_a_task() -> None:
    assert set(tasks()) == {*SERVICES, *operations(APP), *(f"job-{name}" for name in JOBS)}


def test_migrate_brings_both_databases_up_to_date(migrated: str) -> None:
    assert "both databases are up to date" in migrated


@pytest.mark.parametrize("name", SERVICES)
def test_service_becomes_healthy_and_drains(name: str, cloud: Cloud, migrated: str) -> None:
    assert migrated
    task = tasks()[name]
    with cloud.started(task) as container:
        deadline = time.monotonic() + HEALTHY_S
        while container.attrs["State"].get("Health", {}).get("Status") != "healthy":
            printed = container.logs(tail=60).decode()
            assert container.status != "exited", printed
            assert time.monotonic() < deadline, printed
            time.sleep(0.5)
            container.reload()
        container.stop(timeout=task.container["stopTimeout"])
        assert container.wait()["StatusCode"] == 0, container.logs(tail=60).decode()


@pytest.mark.parametrize("name", [*(f"job-{job}" for job in JOBS), *sorted(operations(APP).keys() - {"migrate"})])
def test_command_succeeds_on_a_new_deployment(name: str, cloud: Cloud, migrated: str) -> None:
    assert migrated
    with cloud.started(tasks()[name]) as container:
        assert container.wait(timeout=COMMAND_S)["StatusCode"] == 0, container.logs().decode()

"""The cloud that the tasks of this session run in, migrated by the task that migrates in AWS."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.task_containers.cloud import Cloud, running_cloud
from tests.task_containers.tasks import tasks


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with running_cloud(tmp_path_factory.mktemp("cloud")) as cloud:
        yield cloud


@pytest.fixture(scope="session")
def migrated(cloud: Cloud) -> str:
    """What `switchyard migrate` printed in its task."""
    with cloud.started(tasks()["migrate"]) as container:
        code = container.wait(timeout=120)["StatusCode"]
        printed: str = container.logs().decode()
    assert code == 0, printed
    return printed

"""What all suites share: examples without a clock, and the one infrastructure that the session runs on.

Property tests run without a clock, because the machine may be busy; `make test-fast` draws fewer
examples, `make fuzz` in the nightly workflow many more.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.where import UnknownInfrastructure, Where, chosen

if TYPE_CHECKING:
    from tests.integration.infrastructure import Infrastructure

settings.register_profile("no_clock", deadline=None)
settings.register_profile("fast", deadline=None, max_examples=20)
settings.register_profile("nightly", deadline=None, max_examples=2_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "no_clock"))


@pytest.fixture(scope="session")
def infrastructure() -> Iterator[Infrastructure]:
    """PostgreSQL and the AWS emulator: real servers, started once a session, when a test first asks."""
    from tests.integration.infrastructure import running_infrastructure
    from tests.integration.known_cases import use_database

    with running_infrastructure(chosen()) as running:
        use_database(running.owner_url())
        yield running


def pytest_configure(config: pytest.Config) -> None:
    """Refuse a choice that cannot be had before any test runs."""
    try:
        where = chosen()
    except UnknownInfrastructure as error:
        raise pytest.UsageError(str(error)) from None
    if where is Where.EMBEDDED or _is_worker(config):
        return
    from tests.integration.infrastructure.containers import remove_leftovers, session_id
    from tests.integration.infrastructure.in_docker import DockerMissing, engine

    try:
        engine().close()
    except DockerMissing as error:
        raise pytest.UsageError(str(error)) from None
    if where is Where.CONTAINERS:
        session_id()
        config.add_cleanup(remove_leftovers)  # of workers that were killed before they could
    # As an interrupt does, so that the containers end with the session when it is asked to end.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Elsewhere than embedded only what uses the infrastructure runs: the rest would run twice for nothing."""
    where = chosen()
    uses = {"infrastructure", "endpoint"}
    kept = [
        item
        for item in items
        if (where is Where.EMBEDDED or uses.intersection(getattr(item, "fixturenames", ())))
        and (where is Where.CONTAINERS or item.get_closest_marker("containers") is None)
    ]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


def _is_worker(config: pytest.Config) -> bool:
    """Whether this is a process of pytest-xdist's, not the one that the user started."""
    return hasattr(config, "workerinput")

from __future__ import annotations

import fcntl
import os
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import psutil
import pytest

from switchyard.devstack.stack.home import Home, temporary_home
from switchyard.devstack.supervisor.process import ServiceSpec
from switchyard.devstack.supervisor.supervisor import Supervisor
from tests.integration.stack.alive import is_alive

TOY = Path(__file__).with_name("toy_service.py")
MakeToy = Callable[..., ServiceSpec]


@pytest.fixture
def home() -> Iterator[Path]:
    """An empty home; a test that leaves something running on it fails."""
    with temporary_home() as folder:
        yield folder
        assert not Home(folder).in_use(), "something still runs on this home"


@pytest.fixture(scope="session")
def used_home_of_this_session() -> Iterator[Path]:
    with temporary_home() as folder:
        yield folder


@pytest.fixture
def used_home(used_home_of_this_session: Path) -> Path:
    """A home with PostgreSQL's data of earlier tests and nothing else: initdb takes longer than all the rest."""
    folder = used_home_of_this_session
    assert not Home(folder).in_use(), "an earlier test has left something running"
    for left in set(folder.iterdir()) - {folder / "postgres", folder / "postgres.password"}:
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    return folder


@pytest.fixture
def toy() -> MakeToy:
    """Makes a service of the toy, which reports ready, or misbehaves as its arguments say."""

    def make(name: str = "toy", *modes: str, **settings: object) -> ServiceSpec:
        return ServiceSpec(name=name, argv=(sys.executable, "-I", "-S", str(TOY), *modes), **settings)  # type: ignore[arg-type]

    return make


@pytest.fixture
def descendants() -> Callable[[int], list[psutil.Process]]:
    """Lists all processes below a pid, in any group or session; not those of other suites."""

    def find(root: int) -> list[psutil.Process]:
        return [each for each in psutil.Process(root).children(recursive=True) if each not in others]

    others: set[psutil.Process] = set()
    others.update(find(os.getpid()))
    return find


@pytest.fixture
def until_free() -> Callable[[Path], None]:
    """Blocks until nothing runs on a home any more: every watchdog holds its lock until its process has gone."""

    def wait(folder: Path) -> None:
        with (folder / "stack.lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH)

    return wait


@pytest.fixture
async def supervisor(home: Path) -> AsyncIterator[Supervisor]:
    """A supervisor without processes; what a test starts under it is stopped afterwards."""
    place = Home(home)
    place.prepare()
    supervisor = Supervisor(place, lambda: None)
    supervisor.lock = lock = place.lock()
    yield supervisor
    await supervisor.stop(supervisor.processes)
    os.close(lock)


@pytest.fixture
def survivors() -> Callable[[list[psutil.Process]], list[psutil.Process]]:
    """Those of a list of processes that are alive a moment after everything was stopped.

    The moment is for the watchdogs, which give back the lock in the course of their own exit.
    """

    def find(family: list[psutil.Process]) -> list[psutil.Process]:
        psutil.wait_procs(family, timeout=2)
        return [each for each in family if is_alive(each)]

    return find

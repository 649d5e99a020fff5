"""The home folder's files, ports and accounts, without any process."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
from pathlib import Path

import pytest

from switchyard.devstack.errors import AlreadyRunning, read_log_tail
from switchyard.devstack.stack.home import Home, default_home, temporary_home
from switchyard.devstack.stack.postgres import (
    can_reach,
    choose_data_folder,
    choose_install_folder,
    find_unprivileged_account,
)
from switchyard.devstack.supervisor.ports import LOOPBACK, PORT_RANGE, PortAllocator
from switchyard.devstack.supervisor.process import ServiceSpec

pytestmark = pytest.mark.integration
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="PostgreSQL refuses only root")


def test_home_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SWITCHYARD_HOME", str(tmp_path / "elsewhere"))
    assert default_home() == tmp_path / "elsewhere"
    monkeypatch.delenv("SWITCHYARD_HOME")
    monkeypatch.chdir(tmp_path)
    assert default_home() == tmp_path / ".switchyard"


def test_lock_has_one_holder_at_a_time(home: Path) -> None:
    place = Home(home)
    place.prepare()
    lock = place.lock()
    with pytest.raises(AlreadyRunning) as refused:
        place.lock()
    assert refused.value.pid == os.getpid()
    assert place.supervisor() == os.getpid()
    os.close(lock)
    assert not place.in_use()
    assert place.supervisor() is None


def test_previous_log_is_kept(home: Path) -> None:
    place = Home(home)
    place.prepare()
    place.new_log("drafter").write_text("first run")
    assert place.new_log("drafter").read_text() == ""
    assert (home / "logs" / "drafter.log.1").read_text() == "first run"


def test_log_tail_has_the_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("\n".join(f"line {number}" for number in range(5000)))
    assert read_log_tail(log, 2) == "    line 4998\n    line 4999"


def test_port_is_remembered_unless_it_is_taken() -> None:
    ports = PortAllocator()
    port = ports.allocate("postgres")
    assert port in PORT_RANGE
    assert ports.allocate("postgres") == port
    assert PortAllocator(ports.taken()).allocate("postgres") == port
    with socket.create_server((LOOPBACK, port)):
        assert PortAllocator({"postgres": port}).allocate("postgres") != port


def test_reused_pid_is_not_taken_for_the_supervisor(home: Path) -> None:
    place = Home(home)
    place.prepare()
    lock = place.lock()
    (home / "stack.lock").write_text(f"{os.getpid()} 1.0")
    assert place.in_use()
    assert place.supervisor() is None
    os.close(lock)


def test_name_invalid_as_a_file_name_is_refused() -> None:
    with pytest.raises(ValueError, match="must be lower-case letters"):
        ServiceSpec(name="../evil", argv=("true",))


@root_only
def test_account_cannot_reach_a_folder_below_a_closed_one(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    (closed / "open").mkdir(parents=True)
    closed.chmod(0o700)
    with temporary_home() as folder:
        nobody = pwd.getpwnam("nobody")
        assert can_reach(nobody, folder)
        assert not can_reach(nobody, closed / "open")


@root_only
def test_root_keeps_closed_folders_and_moves_data_to_reachable_place(tmp_path: Path) -> None:
    account = find_unprivileged_account()
    assert account is not None
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    data = choose_data_folder(account, closed / "postgres")
    try:
        assert can_reach(account, data.parent)
        assert data == choose_data_folder(account, closed / "postgres")
        assert closed.stat().st_mode & 0o777 == 0o700
    finally:
        data.parent.rmdir()


@root_only
def test_root_copies_an_installation_that_the_account_cannot_reach(tmp_path: Path) -> None:
    account = find_unprivileged_account()
    assert account is not None
    installed, libraries = tmp_path / "closed" / "server" / "install", tmp_path / "closed" / "server.libs"
    (installed / "bin").mkdir(parents=True)
    libraries.mkdir()
    (installed / "bin" / "postgres").write_text("a program")
    (libraries / "libpq.so").write_text("beside the package, as its programs' rpath has it")
    (tmp_path / "closed").chmod(0o700)
    copy = choose_install_folder(account, installed, f"test-{os.getpid()}")
    try:
        assert (copy / "bin" / "postgres").read_text() == "a program"
        assert (copy / "bin" / "../../.." / "server.libs" / "libpq.so").exists()
        assert can_reach(account, copy / "bin")
        assert choose_install_folder(account, installed, f"test-{os.getpid()}") == copy
    finally:
        shutil.rmtree(copy.parents[2])

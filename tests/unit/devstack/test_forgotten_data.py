"""PostgreSQL's data outside of a home that was deleted: the next stack on that home starts anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from switchyard.devstack.errors import StackError
from switchyard.devstack.stack.home import Home
from switchyard.devstack.stack.postgres import PostgresServer


def server(home: Path, data: Path) -> PostgresServer:
    prepared = Home(home)
    prepared.prepare()
    made = PostgresServer(prepared, 0)
    made._data = data
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("18", encoding="utf-8")
    return made


def test_data_elsewhere_of_a_deleted_home_goes_with_it(tmp_path: Path) -> None:
    made = server(tmp_path / "home", tmp_path / "elsewhere" / "postgres")
    assert made.password
    assert not (tmp_path / "elsewhere" / "postgres").exists()


def test_data_inside_a_home_without_its_password_is_left_alone_and_named(tmp_path: Path) -> None:
    data = tmp_path / "home" / "postgres"
    made = server(tmp_path / "home", data)
    with pytest.raises(StackError, match=r"postgres\.password is missing"):
        _ = made.password
    assert (data / "PG_VERSION").exists()

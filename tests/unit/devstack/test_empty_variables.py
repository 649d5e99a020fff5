"""An empty variable counts as unset, also where it is read before there are settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.app import APP
from switchyard.app.application import APP_VARIABLE, load_app
from switchyard.devstack.identity.servers import SERVERS_VARIABLE, server_program
from switchyard.devstack.stack.local_stack import VISIBILITY_VARIABLE, read_visibility_s


def test_empty_folder_of_identity_servers_is_the_default_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / ".venv-identity" / "bin" / "nanoidp"
    program.parent.mkdir(parents=True)
    program.touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(SERVERS_VARIABLE, "")
    assert server_program("nanoidp") == str(program)


def test_empty_visibility_is_the_default_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VISIBILITY_VARIABLE, "")
    assert read_visibility_s() == 30


def test_empty_name_of_an_application_is_the_default_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(APP_VARIABLE, "")
    load_app.cache_clear()
    assert load_app() is APP

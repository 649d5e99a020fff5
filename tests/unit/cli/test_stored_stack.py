"""`switchyard stack logs`, `stack reset` and `--version`, on a folder that a stack has left."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from switchyard.cli.app.errors import CommandFailed, InvalidArgument
from switchyard.cli.app.main import app
from switchyard.devstack.stack.home import Home


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home after a run, beside a file that no stack wrote."""
    monkeypatch.setenv("SWITCHYARD_HOME", str(tmp_path))
    home = Home()
    home.prepare()
    home.write_state({"supervisor": 0})
    home.log("router").write_text("one\ntwo\nthree\n")
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("18")
    (tmp_path / "notes.txt").write_text("mine")
    return home


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, arguments, input=stdin)


def test_stack_logs_prints_the_last_lines(home: Home) -> None:
    assert run("stack", "logs", "router", "-n", "2").output == "two\nthree\n"


def test_stack_logs_of_an_unknown_process_names_the_known(home: Home) -> None:
    result = run("stack", "logs", "../postgres/PG_VERSION")
    assert "router" in str(getattr(result.exception, "remedy", ""))


def test_stack_reset_deletes_what_a_stack_wrote_only(home: Home) -> None:
    assert run("stack", "reset", "--yes").exit_code == 0
    assert [each.name for each in home.folder.iterdir()] == ["notes.txt"]


def test_stack_reset_without_consent_deletes_nothing(home: Home) -> None:
    assert run("stack", "reset", stdin="n\n").exit_code == 1
    assert (home.folder / "postgres" / "PG_VERSION").exists()


def test_stack_reset_of_a_running_stack_is_refused(home: Home) -> None:
    held = home.lock()
    try:
        result = run("stack", "reset", "--yes")
    finally:
        os.close(held)
    assert str(result.exception) == "the stack is running"
    assert (home.folder / "postgres" / "PG_VERSION").exists()


def test_stack_reset_of_a_folder_without_a_stack_deletes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWITCHYARD_HOME", str(tmp_path))
    (tmp_path / "logs").mkdir()
    assert run("stack", "reset", "--yes").output == "nothing is stored\n"
    assert (tmp_path / "logs").exists()


def test_version_is_printed() -> None:
    assert run("--version").output.startswith("switchyard ")


@pytest.mark.parametrize("name", ["demo", "stack", "elsewhere/of my own"])
def test_case_list_of_a_run_that_never_was_names_its_folder(home: Home, name: str) -> None:
    (home.folder / "stack.json").unlink()
    error = run("case", "list", "--run", name).exception
    assert isinstance(error, CommandFailed)
    folder = {"demo": home.folder / "demo", "stack": home.folder}.get(name, Path(name).absolute())
    assert (error.message, error.exit_code) == (f"there is no run in {folder}", 1)


def test_run_of_a_deployment_that_is_not_local_is_refused(home: Home) -> None:
    error = run("case", "list", "--run", "demo", "--env", "aws").exception
    assert isinstance(error, InvalidArgument)
    assert error.message == "--run names a local run"

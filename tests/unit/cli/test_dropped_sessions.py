"""A session that PostgreSQL ended in the middle of a statement, which asyncpg reports as an error of its own."""

from __future__ import annotations

import asyncpg
import pytest

from switchyard.cli.app import main
from switchyard.cli.app.deployment_checks import _checked

DROPPED = asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress")


def test_command_dropped_session_is_one_line_and_a_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def app() -> None:
        raise DROPPED

    monkeypatch.setattr(main, "app", app)
    with pytest.raises(SystemExit) as ended:
        main.run_cli()
    assert ended.value.code == 1
    assert capsys.readouterr().err.splitlines()[1].startswith("Remedy: ")


async def test_doctor_dropped_session_is_a_finding() -> None:
    async def look() -> None:
        raise DROPPED

    assert str((await _checked("work database", look())).problem).startswith("no answer: cannot switch")

"""A command whose database goes away says so, under any name that the driver has for it."""

from __future__ import annotations

import logging

import asyncpg
import pytest

from switchyard.cli.app.connections import open_pool
from switchyard.cli.app.errors import CommandFailed
from switchyard.cli.app.target import Target
from switchyard.processes.databases import OPERATOR_ROLE
from tests.integration.infrastructure import Infrastructure, Owner

pytestmark = pytest.mark.integration


@pytest.fixture
def target(infrastructure: Infrastructure) -> Target:
    return Target({**infrastructure.environment, "SWITCHYARD_OPERATOR_DB_URL": infrastructure.role_url(OPERATOR_ROLE)})


async def _command_whose_session_is_ended(target: Target, owner: Owner) -> None:
    async with open_pool(target, "operator") as pool, pool.acquire() as session:
        await owner.execute("select pg_terminate_backend($1)", session.get_server_pid())
        await session.fetchval("select pg_sleep(10)")


async def test_cli_session_ended_by_server_is_reported_with_remedy(target: Target, owner: Owner) -> None:
    with pytest.raises(CommandFailed, match="connection to the database was lost") as failed:
        await _command_whose_session_is_ended(target, owner)
    assert failed.value.remedy == "check that it is running, and try again"


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.AdminShutdownError("terminating connection"),
        asyncpg.CrashShutdownError("crash of another server process"),
        asyncpg.CannotConnectNowError("the database system is in recovery mode"),
        asyncpg.DiskFullError("could not extend file"),
        asyncpg.TooManyConnectionsError("sorry, too many clients already"),
        asyncpg.InternalClientError("cannot switch to state 12"),
        ConnectionResetError(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_cli_database_that_cannot_serve_is_reported(target: Target, error: Exception) -> None:
    async def command() -> None:
        async with open_pool(target, "operator"):
            raise error

    with pytest.raises(CommandFailed, match=type(error).__name__):
        await command()


async def test_cli_pool_that_loses_its_server_prints_no_traceback(
    target: Target, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # as in a command, which configures no logs
    async with open_pool(target, "operator"):
        logging.getLogger("asyncpg.pool").warning("Failed to restore the pool connection floor", exc_info=OSError())
    assert capsys.readouterr().err == ""

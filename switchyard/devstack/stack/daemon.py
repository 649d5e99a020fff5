"""`switchyard stack up`, `down` and `status`: the embedded stack in the foreground of a terminal or in the background.

A *plan* is a function named as `module:function` that makes the stack; a detached stack imports it in its own process.
Run as a module (`python -m switchyard.devstack.stack.daemon HOME PLAN`) this is that process.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from switchyard.devstack.errors import AlreadyRunning, StackError
from switchyard.devstack.stack.endpoints import Endpoints
from switchyard.devstack.stack.home import Home
from switchyard.devstack.stack.provision import EXPIRY_INTERVAL_S, expire_quarantine
from switchyard.devstack.stack.running import find_running_state, running_state
from switchyard.devstack.stack.stack import EmbeddedStack
from switchyard.devstack.supervisor.process import ProcessStatus
from switchyard.runtime.core.periodic import run_periodically

READY_MESSAGE = "ready"
STOP_TIMEOUT = 45.0  # seconds: the services' drain, PostgreSQL's shutdown and some air


def load_stack(reference: str, home: Path | None) -> EmbeddedStack:
    """Call the function named `module:function` with the home. Raises StackError unless it returns a stack."""
    module, _, function = reference.partition(":")
    stack = getattr(importlib.import_module(module), function)(home)
    if not isinstance(stack, EmbeddedStack):
        raise StackError(f"{reference} returned {type(stack).__name__}, not a {EmbeddedStack.__name__}")
    return stack


def start_stack(
    plan: str, home: Path | None = None, *, detach: bool = False, on_ready: Callable[[Endpoints], None] | None = None
) -> None:
    """Start a stack. In the foreground this returns after Ctrl-C or SIGTERM, when everything has stopped (a second
    Ctrl-C kills); detached, as soon as all is ready. Raises StackError."""
    if not detach:
        asyncio.run(_serve(load_stack(plan, home), on_ready or (lambda _: None)))
        return
    _up_detached(plan, Home(home))
    if on_ready is not None:
        on_ready(running_endpoints(home))


def stop_stack(home: Path | None = None, *, force: bool = False, timeout: float = STOP_TIMEOUT) -> bool:
    """Stop the stack of this home, foreground or not, and wait until all has ended; `force` does without the drain.

    Returns False when none was running. Raises StackError when it has not stopped after `timeout` seconds.
    """
    place = Home(home)
    if not place.in_use():
        return False
    holder = place.supervisor()
    if holder is not None:
        os.kill(holder, signal.SIGQUIT if force else signal.SIGTERM)
    deadline = time.monotonic() + timeout
    while place.in_use():
        if time.monotonic() > deadline:
            who = "its watchdogs" if holder is None else f"supervisor pid {holder}"
            raise StackError(f"the stack in {place.folder} ({who}) is still running after {timeout:g} s; use force")
        time.sleep(0.05)
    return True


def stack_status(home: Path | None = None) -> list[ProcessStatus]:
    """The processes of the stack that runs on this home; none when none runs."""
    state = find_running_state(Home(home))
    return [] if state is None else [ProcessStatus.from_json(row) for row in state["processes"]]


def running_endpoints(home: Path | None = None) -> Endpoints:
    """Where the running stack's parts answer. Raises StackError when none runs."""
    return Endpoints(**running_state(home)["endpoints"])


async def _serve(stack: EmbeddedStack, on_ready: Callable[[Endpoints], None]) -> None:
    """Run the stack until Ctrl-C or SIGTERM. A second one, or SIGQUIT (Ctrl-backslash), kills what still drains."""
    serving = asyncio.create_task(_until_cancelled(stack, on_ready))
    asked: list[signal.Signals] = []

    def stop(number: signal.Signals) -> None:
        if not asked:
            serving.cancel()
        if asked or number is signal.SIGQUIT:
            stack.force()
        asked.append(number)

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
        loop.add_signal_handler(number, stop, number)
    await asyncio.wait({serving})
    if not serving.cancelled():
        serving.result()


async def _until_cancelled(stack: EmbeddedStack, on_ready: Callable[[Endpoints], None]) -> None:
    async with stack:
        on_ready(stack.endpoints)
        expire = partial(expire_quarantine, stack.endpoints.environment())
        await run_periodically("quarantine", expire, every_s=EXPIRY_INTERVAL_S)


def _up_detached(plan: str, home: Home) -> None:
    """Start the daemon and read its word: that all is ready, or the error. Raises StackError."""
    if (holder := home.supervisor()) is not None:
        raise AlreadyRunning(home.folder, holder)
    home.prepare()
    command = [sys.executable, "-m", "switchyard.devstack.stack.daemon", str(home.folder), plan]
    with home.log("stack").open("ab") as log:
        try:
            word = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, start_new_session=True,
                text=True, check=True,
            ).stdout  # fmt: skip
        except KeyboardInterrupt:
            if (started := home.supervisor()) is not None:
                os.kill(started, signal.SIGTERM)
            raise
    if word != READY_MESSAGE:
        reason = word or f"its supervisor ended; see {home.log('stack')}"
        raise StackError(f"the stack did not start: {reason}")


def _main(home: str, plan: str) -> int:
    """The detached process, whose starter reads its standard output until it is closed."""
    if os.fork() != 0:
        return 0  # init becomes the daemon's parent

    def ready(_: Endpoints) -> None:
        os.write(sys.stdout.fileno(), READY_MESSAGE.encode())
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    try:
        start_stack(plan, Path(home), on_ready=ready)
    except StackError as error:
        os.write(sys.stdout.fileno(), str(error).encode())
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))

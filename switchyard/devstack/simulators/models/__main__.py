"""`python -m switchyard.devstack.simulators.models`: serve until SIGTERM or Ctrl-C."""

from __future__ import annotations

import argparse
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import uvicorn

from switchyard.devstack.simulators.models.app import ModelSimulator
from switchyard.devstack.simulators.models.script import DEFAULT_SCRIPT, ScriptError, load_scripts

KEEP_ALIVE_S = 600
"""Longer than clients keep idle connections: one that the server closes under a client costs a call without retries."""

SIMULATOR_STOP_WITHIN_S = 2


class SimulatorServer(uvicorn.Server):
    """Prints one line when it is ready, and stops without waiting for stalled calls."""

    def __init__(self, config: uvicorn.Config, simulator: ModelSimulator) -> None:
        super().__init__(config)
        self._simulator = simulator

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then announce it: a reader of the line may connect at once."""
        await super().startup(sockets)
        host, port = (sockets or [])[0].getsockname()[:2]
        rules = len(self._simulator.script.rules)
        sys.stdout.write(f"model simulator ready on http://{host}:{port} with {rules} rules (scripted, no model)\n")
        sys.stdout.flush()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let go of waiting calls first."""
        self._simulator.stopping.set()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop, and end with status 0: a stop on request is not a failure."""
        self.force_exit = self.should_exit
        self.should_exit = True


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m switchyard.devstack.simulators.models", description="A scripted model simulator."
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: loopback only)")
    parser.add_argument("--port", type=int, default=0, help="port to listen on (default: any free one)")
    scripts = "a script, or a folder of *.yaml; repeatable, tried in this order (default: the built-in one)"
    parser.add_argument("--script", type=Path, action="append", metavar="FILE", help=scripts)
    given = parser.parse_args(arguments)
    try:
        simulator = ModelSimulator(load_scripts(given.script or [DEFAULT_SCRIPT]))
        listener = socket.create_server((given.host, given.port), backlog=512)
    except (ScriptError, OSError) as error:
        sys.stderr.write(f"model simulator: {error}\n")
        return 2
    config = uvicorn.Config(
        simulator.app(), lifespan="off", ws="none", http="h11", log_level="error", access_log=False,
        server_header=False, timeout_keep_alive=KEEP_ALIVE_S, timeout_graceful_shutdown=SIMULATOR_STOP_WITHIN_S,
    )  # fmt: skip
    SimulatorServer(config, simulator).run(sockets=[listener])
    return 0


if __name__ == "__main__":
    sys.exit(main())

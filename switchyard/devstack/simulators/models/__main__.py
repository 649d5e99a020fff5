"""`python -m switchyard.devstack.simulators.models`: serve until SIGTERM or Ctrl-C."""

from __future__ import annotations

import argparse
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import uvicorn

from switchyard.devstack.simulators.models.app import ModelSimulator, build_simulator_app
from switchyard.devstack.simulators.models.loading import DEFAULT_SCRIPT, ScriptError, load_scripts

KEEP_ALIVE_S = 600
"""Longer than clients keep idle connections: one that the server closes under a client costs a call without retries."""

SIMULATOR_STOP_WITHIN_S = 2


class SimulatorServer(uvicorn.Server):
    """Says when it is ready, and does not wait for stalled calls when it is told to stop."""

    def __init__(self, config: uvicorn.Config, simulator: ModelSimulator, port_file: Path | None) -> None:
        super().__init__(config)
        self._simulator = simulator
        self._port_file = port_file

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then announce it: whoever waits for the line or the file may connect at once."""
        await super().startup(sockets)
        host, port = (sockets or [])[0].getsockname()[:2]
        if self._port_file is not None:
            partial = self._port_file.with_name(f"{self._port_file.name}.partial")
            partial.write_text(f"{port}\n", encoding="ascii")
            partial.replace(self._port_file)
        rules = len(self._simulator.script.rules)
        sys.stdout.write(f"model simulator ready on http://{host}:{port} with {rules} rules (scripted, no model)\n")
        sys.stdout.flush()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let go of waiting calls first."""
        self._simulator.stop()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop, and end with status 0: being told to stop is not a failure."""
        self.force_exit = self.should_exit
        self.should_exit = True


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m switchyard.devstack.simulators.models", description="A scripted model simulator."
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: loopback only)")
    parser.add_argument("--port", type=int, default=0, help="port to listen on (default: any free one)")
    parser.add_argument(
        "--script",
        type=Path,
        action="append",
        metavar="FILE",
        help="a script, or a folder of *.yaml; repeatable, tried in this order (default: the built-in one)",
    )
    parser.add_argument("--port-file", type=Path, metavar="FILE", help="write the port here once it accepts calls")
    given = parser.parse_args(arguments)
    try:
        simulator = ModelSimulator(load_scripts(given.script or [DEFAULT_SCRIPT]))
        listener = socket.create_server((given.host, given.port), backlog=512)
    except (ScriptError, OSError) as error:
        sys.stderr.write(f"model simulator: {error}\n")
        return 2
    config = uvicorn.Config(
        build_simulator_app(simulator),
        lifespan="off",
        ws="none",
        http="h11",
        log_level="error",
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=SIMULATOR_STOP_WITHIN_S,
    )
    SimulatorServer(config, simulator, given.port_file).run(sockets=[listener])
    return 0


if __name__ == "__main__":
    sys.exit(main())

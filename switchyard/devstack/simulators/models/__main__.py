"""`python -m switchyard.devstack.simulators.models`: serve until SIGTERM or Ctrl-C."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from switchyard.devstack.simulators.models.app import ModelSimulator
from switchyard.devstack.simulators.models.script import DEFAULT_SCRIPT, ScriptError, load_scripts
from switchyard.devstack.simulators.serving import serve_simulator


def main() -> int:
    """Serve; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m switchyard.devstack.simulators.models", description="A scripted model simulator."
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: loopback only)")
    parser.add_argument("--port", type=int, default=0, help="port to listen on (default: any free one)")
    scripts = "a script, or a folder of *.yaml; repeatable, tried in this order (default: the built-in one)"
    parser.add_argument("--script", type=Path, action="append", metavar="FILE", help=scripts)
    given = parser.parse_args()
    try:
        script = load_scripts(given.script or [DEFAULT_SCRIPT])
        serve_simulator(ModelSimulator(script).app(), host=given.host, port=given.port, name="model simulator")
    except (ScriptError, OSError) as error:
        sys.stderr.write(f"model simulator: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

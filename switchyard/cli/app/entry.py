"""The entry point of `switchyard`: Ctrl-C at any moment ends it without a traceback."""

from __future__ import annotations

import sys


def run() -> None:
    """Run the command line; exit code 130 after Ctrl-C, as shells have it."""
    try:
        from switchyard.cli.app.main import run_cli

        run_cli()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(130)

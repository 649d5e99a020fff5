"""The terminal, or a pipe: a pipe has no width, and a table cut at 80 columns is of no use to what reads it."""

from __future__ import annotations

import sys

from rich.console import Console

PIPE_WIDTH = 200

console = Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)

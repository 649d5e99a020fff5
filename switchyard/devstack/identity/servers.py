"""Where the local identity provider (nanoidp) and token exchange (authgent-server) are installed: in an environment of
their own, because they are alpha packages and nothing of ours may import them."""

from __future__ import annotations

import os
from pathlib import Path

from switchyard.devstack.errors import StackError

SERVERS_VARIABLE = "SWITCHYARD_LOCAL_IDENTITY_SERVERS"
"""The `bin` folder of that environment; by default `.venv-identity/bin` in the working folder."""


PROVIDER_PROGRAM = "nanoidp"
EXCHANGE_PROGRAM = "authgent-server"
PROGRAMS = (PROVIDER_PROGRAM, EXCHANGE_PROGRAM)


def server_program(name: str) -> str:
    """The path of a program. Raises `StackError` if it is missing."""
    program = Path(os.environ.get(SERVERS_VARIABLE) or ".venv-identity/bin").absolute() / name
    if not program.exists():
        raise StackError(f"{program} is missing: run `make env`, or set {SERVERS_VARIABLE} to the folder that has it")
    return str(program)

"""Where PostgreSQL and the AWS emulator of the tests run: one choice, made by a variable."""

from __future__ import annotations

import os
from collections.abc import Mapping
from enum import StrEnum

VARIABLE = "SWITCHYARD_TEST_INFRASTRUCTURE"


class Where(StrEnum):
    """The places. Tests do not see the difference."""

    EMBEDDED = "embedded"  # processes of this machine, no Docker
    CONTAINERS = "containers"  # LocalStack and PostgreSQL, started by testcontainers for each worker of the session
    COMPOSE = "compose"  # those of the docker compose project that is up, without its services


class UnknownInfrastructure(ValueError):
    """SWITCHYARD_TEST_INFRASTRUCTURE names no place. Remedy: unset it, or take a name that the error lists."""


def chosen(environ: Mapping[str, str] = os.environ) -> Where:
    """Where this session's infrastructure runs: embedded unless the variable says otherwise.

    Raises:
        UnknownInfrastructure: it says something else.
    """
    name = environ.get(VARIABLE) or Where.EMBEDDED
    try:
        return Where(name)
    except ValueError:
        raise UnknownInfrastructure(f"{VARIABLE} is {name!r}; it may be {', '.join(Where)}") from None

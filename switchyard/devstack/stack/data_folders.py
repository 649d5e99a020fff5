"""The folders whose data the local stack's processes serve and read: the application's or one's own."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from switchyard.app.application import App, resource_path
from switchyard.devstack.errors import StackError
from switchyard.devstack.supervisor.process import ServiceSpec

DATA_VARIABLE = "SWITCHYARD_LOCAL_DATA"
"""Folders in place of the application's data, as JSON by name: what `switchyard stack up --data` sets."""


def data_folders(app: App) -> dict[str, str]:
    """The folder of each of the application's data sets. Raises `StackError` for an unknown name or folder."""
    given: dict[str, str] = json.loads(os.environ.get(DATA_VARIABLE) or "{}")
    for name, folder in given.items():
        if name not in app.local_data:
            raise StackError(f"--data {name}={folder}: this application has {', '.join(app.local_data) or 'no data'}")
        if not Path(folder).is_dir():
            raise StackError(f"--data {name}={folder}: there is no such folder")
    return {name: given.get(name) or str(resource_path(shipped)) for name, shipped in app.local_data.items()}


def with_data_folders(services: Iterable[ServiceSpec], app: App) -> list[ServiceSpec]:
    """Processes whose commands and variables name these folders where they said `{data:NAME}`."""
    folders = data_folders(app)

    def filled(text: str) -> str:
        return re.sub(r"\{data:([a-z_]+)\}", lambda found: folders[found[1]], text)

    return [
        replace(
            service,
            argv=tuple(map(filled, service.argv)),
            env={name: filled(value) for name, value in service.env.items()},
        )
        for service in services
    ]

"""YAML files of a person: with any content they are read, or refused in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from switchyard.protocol.errors import why_unreadable


class UnreadableFile(Exception):
    """Names the file and says why it cannot be read."""


def read_yaml(path: Path) -> Any:
    """What a YAML file holds, if JSON could hold it, too. Raises `UnreadableFile`."""
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
        json.dumps(found)
    except OSError as error:
        raise UnreadableFile(f"{path}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        why = why_unreadable(error).replace('in "<unicode string>", ', "at ")
        raise UnreadableFile(f"{path}: is not YAML: {why}") from error
    except TypeError as error:
        raise UnreadableFile(f"{path}: holds a date or another value without a form in JSON: quote it") from error
    return found

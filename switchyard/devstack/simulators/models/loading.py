"""Reads script files, and explains what is wrong with them in terms of the file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from switchyard.devstack.simulators.models.script import ScriptRule, SimulatorScript

DEFAULT_SCRIPT = Path(__file__).with_name("script.yaml")


class ScriptError(Exception):
    """A script cannot be used. The message names the file, the rule and the field, and says what to do."""


def load_scripts(paths: Sequence[Path]) -> SimulatorScript:
    """Read script files, or all *.yaml files of folders by name, as one script. Raises `ScriptError`."""
    models: list[str] = []
    rules: list[ScriptRule] = []
    for path in _files(paths):
        part = _read(path)
        models += part.models
        rules += part.rules
    try:
        return SimulatorScript(models=tuple(dict.fromkeys(models)), rules=tuple(rules))
    except ValidationError as error:
        raise ScriptError(_explain("the scripts together", {}, error)) from error


def _files(paths: Sequence[Path]) -> Iterable[Path]:
    for path in paths:
        if path.is_dir():
            found = sorted(path.glob("*.yaml"))
            if not found:
                raise ScriptError(f"{path}: the folder has no *.yaml file; name another, or leave --script out")
            yield from found
        else:
            yield path


def _read(path: Path) -> SimulatorScript:
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise ScriptError(f"{path}: cannot be read ({error.strerror}); check --script") from error
    except yaml.YAMLError as error:
        raise ScriptError(f"{path}: is not YAML: {error}") from error
    try:
        return SimulatorScript.model_validate(raw)
    except ValidationError as error:
        raise ScriptError(_explain(str(path), raw, error)) from error


def _explain(source: str, raw: Any, error: ValidationError) -> str:
    return "\n".join(
        f"{source}: {_place(raw, problem['loc'])}: {_remedy(problem['type'], problem['msg'])}"
        for problem in error.errors()
    )


def _place(raw: Any, loc: tuple[int | str, ...]) -> str:
    match loc:
        case ("rules", int(number), *rest):
            try:
                name = repr(raw["rules"][number]["name"])
            except (KeyError, IndexError, TypeError):
                name = f"number {number + 1}"
            return f"rule {name}" + "".join(f", {part}" for part in [".".join(map(str, rest))] if part)
        case _:
            return ".".join(map(str, loc)) or "the file"


def _remedy(kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return "there is no such field; switchyard/devstack/simulators/models/README.md lists them all"
    if kind == "missing":
        return "is missing; add it"
    return message.removeprefix("Value error, ")

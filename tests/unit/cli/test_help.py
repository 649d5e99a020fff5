"""`--help` lists the commands without importing what they run."""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
from importlib import import_module

import pytest
import typer

from switchyard.cli.app.lazy import CommandReference, load_command
from switchyard.cli.app.main import Commands, application_commands
from switchyard.cli.commands.audit import AuditCommands

HEAVY = ("aiobotocore", "asyncio", "asyncpg", "boto3", "botocore", "contracts", "faststream", "faststream_sqs",
         "pydantic_ai", "pydantic_settings", "rich", "snowflake", "sqlglot", "switchyard.app.application",
         "switchyard.protocol", "switchyard.runtime")  # fmt: skip
"""What costs more than 10 ms; typer itself imports pydantic."""

CPU_LIMIT_S = 0.5
"""Twice what it takes on a machine that does nothing else (0.2 to 0.25 s): the imports are what the check is for."""


def options(command: object) -> set[str]:
    return {name for parameter in getattr(command, "params", ()) for name in parameter.opts}


def all_commands() -> dict[str, object]:
    """Every command, by the words that are typed."""
    found: dict[str, object] = {}
    todo = [(name, load_command(name, command)) for name, command in Commands.references.items()]
    while todo:
        words, command = todo.pop()
        if words == "audit":
            todo += [(f"audit {name}", load_command(name, each)) for name, each in AuditCommands.references.items()]
        elif hasattr(command, "commands"):
            todo += [(f"{words} {name}", each) for name, each in command.commands.items()]
        else:
            found[words] = command
    return found


LEAVES = [words.split() for words in sorted(all_commands())]
GROUPS = sorted({words.split()[0] for words in all_commands()} | {"audit retention"})


def run_help(arguments: list[str]) -> tuple[str, list[str]]:
    """What `--help` prints, and the heavy modules that it imported."""
    code = (
        "import json, sys\n"
        "from switchyard.cli.app.main import run_cli\n"
        f"sys.argv = ['switchyard', *{arguments!r}, '--help']\n"
        "try:\n    run_cli()\n"
        f"finally:\n    print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]), file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    return ran.stdout, json.loads(ran.stderr.splitlines()[-1])


@pytest.mark.parametrize("arguments", [[], *map(str.split, GROUPS), *LEAVES], ids=" ".join)
def test_help_of_a_command_imports_nothing_heavy(arguments: list[str]) -> None:
    printed, imported = run_help(arguments)
    assert imported == []
    assert "Usage:" in printed


def test_help_lists_commands_of_engine_and_application() -> None:
    printed, _ = run_help([])
    assert all(f" {name} " in printed for name in (*Commands.references, "email", "rules"))


def test_help_of_leaf_commands_takes_little_cpu() -> None:
    spent = []
    for arguments in (["case", "show"], ["audit", "reconcile"], ["audit", "retention", "policy"], ["ask"], ["migrate"]):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run_help(arguments)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert statistics.median(spent) < CPU_LIMIT_S


@pytest.mark.parametrize(("name", "command"), [*Commands.references.items(), *AuditCommands.references.items()])
def test_reference_of_a_command_resolves(name: str, command: CommandReference) -> None:
    assert load_command(name, command).help


def test_application_commands_without_an_application_are_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWITCHYARD_APP", "an_application_that_is_not_there.app:APP")
    assert application_commands() == {}


def test_options_have_one_name_in_every_command() -> None:
    commands = all_commands()
    stack = {f"stack {verb}" for verb in ("up", "down", "status", "env", "logs", "reset")}
    local = {"new", "operator public-key", "remote"} | stack
    local |= {"sample email", "rules check", "rules list", "schema check", "schema import", "evals calibration"}
    assert {words for words, command in commands.items() if "--env" not in options(command)} == local
    assert not any("--as" in options(command) for command in commands.values())
    shows = {words for words in commands if words.split()[-1].startswith(("list", "show", "status", "verify"))}
    assert {words for words in shows if "--json" not in options(commands[words])} == set()
    for command in commands.values():
        variables = {parameter.envvar for parameter in getattr(command, "params", ()) if "--env" in parameter.opts}
        assert variables <= {"SWITCHYARD_ENV"}


def test_option_run_is_offered_by_every_command_that_reads_a_log() -> None:
    reads = {"audit access", "audit export", "audit replay", "audit retention show", "audit verify"}
    reads |= {"audit verify-principal", "case list", "case show", "evals from-case"}
    assert {words for words, command in all_commands().items() if "--run" in options(command)} == reads


def test_engine_commands_are_typer_functions_or_groups() -> None:
    for command in Commands.references.values():
        module, _, attribute = command.reference.partition(":")
        found = getattr(import_module(module), attribute)
        assert isinstance(found, typer.Typer) or callable(found)

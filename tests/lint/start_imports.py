"""`python -m tests.lint.start_imports`: no process imports a library at its start that it does not need there.

What processes may import only grows in the order of `roots`, so one interpreter imports them all.
A library that one task needs is imported where the task is done.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module

from switchyard.processes.__main__ import ENGINE_PROCESSES

COSTLY = frozenset(
    {
        *("anthropic", "boto3", "confusable_homoglyphs", "fakesnow", "hypothesis", "jinja2", "lasio", "matplotlib"),
        *("numpy", "openai", "pandas", "petbox", "phonenumbers", "psutil", "pydantic_ai", "pytest", "pyvrp"),
        *("ruptures", "scipy", "selectolax", "simplemma", "snowflake", "sqlglot", "tinycss2", "typer", "wordllama"),
        "yaml",
    }
)
"""Each takes 30 ms of CPU or more to import, or is for tests and the local stack only."""

NEEDED: Mapping[str, tuple[str, ...]] = {
    "console": ("jinja2",),
    **dict.fromkeys(("triage", "drafter", "memory", "text_to_sql", "well_data", "field_routing"), ("pydantic_ai",)),
    "compliance": ("confusable_homoglyphs", "phonenumbers", "selectolax", "simplemma", "tinycss2"),
}
"""What a process needs before its first message, beside what every process needs."""

COMMAND = ("switchyard.cli.app.main", "services.commands")
"""What every command imports before it knows which one it is."""
NOT_FOR_A_COMMAND = COSTLY - {"typer"} | {"aiobotocore", "asyncpg", "botocore", "cryptography", "pydantic", "rich"}


def roots() -> dict[str, str]:
    """The module that each process is composed in, those that need least first."""
    from services.app import APP  # the check of the command must not have imported it

    found = {node: f"switchyard.processes.{node}" for node in ENGINE_PROCESSES}
    found |= {each.node: each.run.partition(":")[0] for each in APP.processes}
    order = (*(node for node in found if node not in NEEDED), *NEEDED)
    return {node: found[node] for node in order}


def imported(modules: Sequence[str], costly: frozenset[str]) -> frozenset[str]:
    """What of the costly libraries is loaded after these modules."""
    for module in modules:
        import_module(module)
    return costly & set(sys.modules)


def check_processes() -> list[str]:
    """A line for each library that a process imports without need."""
    found, known = [], set[str]()
    for node, root in roots().items():
        known |= set(NEEDED.get(node, ()))
        unneeded = imported([root], COSTLY) - known
        found += [f"{node}: {root} imports {library}: import it where it is used" for library in sorted(unneeded)]
        known |= unneeded
    return found


def check_command() -> list[str]:
    """The same for the command, whose help is a list of names."""
    needless = sorted(imported(COMMAND, NOT_FOR_A_COMMAND))
    return [f"switchyard --help imports {library}: import it in the command that uses it" for library in needless]


def main(arguments: Sequence[str]) -> int:
    """The command line; returns the exit status."""
    if list(arguments) == ["command"]:
        from_command = check_command()
        print(*from_command, sep="\n", end="\n" if from_command else "")
        return bool(from_command)
    command = subprocess.run([sys.executable, "-m", "tests.lint.start_imports", "command"], check=False)
    found = check_processes()
    print(*found, sep="\n", end="\n" if found else "")
    return command.returncode or bool(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

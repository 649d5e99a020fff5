"""What would be rewritten to leave AWS: counted, not estimated. `python -m bench.exit_cost`.

A module counts as *of AWS* if it imports one of AWS's SDKs or calls an operation of one of the AWS services that we use
on a client that was handed to it. The names of the operations are botocore's own. Its whole length is counted, which is
more than would be rewritten; the *places* are the imports and calls themselves.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

from botocore import xform_name
from botocore.session import get_session

MEASURED_ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("contracts", "failover", "faststream_sqs", "runtime", "services", "cli", "local")
SDKS = (
    "aiobotocore",
    "boto3",
    "botocore",
    "types_aiobotocore",
    "pydantic_ai.models.bedrock",
    "pydantic_ai.providers.bedrock",
)
SERVICES = ("bedrock-runtime", "events", "kms", "s3", "secretsmanager", "sesv2", "sqs", "sts")
TRANSPORT = "faststream_sqs"


@dataclass(frozen=True)
class ModuleUsage:
    """One module: its lines, and the lines on which it imports or calls something of AWS, or the transport."""

    path: str
    lines: int
    places: tuple[int, ...]
    transport: tuple[int, ...]


def list_aws_operations() -> frozenset[str]:
    """Every operation of the services we use, as a Python client spells it."""
    session = get_session()
    return frozenset(
        xform_name(name) for service in SERVICES for name in session.get_service_model(service).operation_names
    )


def measure_module(path: str, source: str, known: frozenset[str]) -> ModuleUsage:
    """Read one module."""
    places: set[int] = set()
    transport: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        for name in _imported(node):
            if any(name == sdk or name.startswith(sdk + ".") for sdk in SDKS):
                places.add(node.lineno)  # type: ignore[attr-defined]
            if name.split(".")[0] == TRANSPORT:
                transport.add(node.lineno)  # type: ignore[attr-defined]
        if _is_aws_call(node, known):
            places.add(node.lineno)
    return ModuleUsage(path, source.count("\n"), tuple(sorted(places)), tuple(sorted(transport)))


def measure_packages(packages: Iterable[str] = PACKAGES) -> list[ModuleUsage]:
    """Every module of the packages."""
    known = list_aws_operations()
    return [
        measure_module(path.relative_to(MEASURED_ROOT).as_posix(), path.read_text(encoding="utf-8"), known)
        for package in packages
        for path in sorted((MEASURED_ROOT / package).rglob("*.py"))
    ]


def exit_cost_report(modules: list[ModuleUsage]) -> str:
    """A table by package, and the modules of AWS outside the transport."""
    lines = [
        "| package | modules | of AWS | lines | of AWS | places | imports of the transport |",
        "|---|---|---|---|---|---|---|",
    ]
    for package in PACKAGES:
        here = [module for module in modules if module.path.startswith(package + "/")]
        of_aws = [module for module in here if module.places]
        own = package == TRANSPORT
        figures = (
            len(here), len(of_aws), sum(m.lines for m in here), sum(m.lines for m in of_aws),
            sum(len(m.places) for m in of_aws), "" if own else sum(len(m.transport) for m in here),
        )  # fmt: skip
        lines.append(f"| `{package}` | " + " | ".join(map(str, figures)) + " |")
    lines += ["", "| module of AWS, outside the transport and the laptop's stack | lines | places |", "|---|---|---|"]
    lines += [
        f"| `{module.path}` | {module.lines} | {len(module.places)} |"
        for module in modules
        if module.places and not module.path.startswith((TRANSPORT, "local"))
    ]
    return "\n".join(lines)


def _is_aws_call(node: ast.AST, known: frozenset[str]) -> TypeGuard[ast.Call]:
    # AWS takes named arguments only, and names them with capitals: nobody else's `decrypt` or `sign` does.
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr not in known:
        return False
    return bool(node.keywords) and not node.args and all((word.arg or "A")[0].isupper() for word in node.keywords)


def _imported(node: ast.AST) -> list[str]:
    match node:
        case ast.Import():
            return [alias.name for alias in node.names]
        case ast.ImportFrom(module=str(module), level=0):
            return [module]
        case _:
            return []


if __name__ == "__main__":
    print(exit_cost_report(measure_packages()))

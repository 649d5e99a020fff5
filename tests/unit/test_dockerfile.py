"""The images: one for each process, with the code that it imports and the packages that this code imports.

Read off the Dockerfile, the import statements and the lock. That the images start is shown by docker compose.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from cryptography import x509

from services.commands import COMMANDS
from services.specialists.__main__ import AGENTS
from switchyard.infra.nodes import needs

ROOT = Path(__file__).resolve().parents[2]
TOOLS = {"cli", "simulators"}
OURS = {"contracts", "demo", "evals", "faststream_sqs", "latency_failover", "services", "switchyard"}
LIBRARIES = {"faststream_sqs": "packages/faststream-sqs", "latency_failover": "packages/latency-failover"}
ENTRIES = {
    # Commands import what they need when they run.
    "cli": {
        "switchyard.cli.app.main",
        *(
            ".".join(path.relative_to(ROOT).with_suffix("").parts)
            for folder in ("app", "commands")
            for path in (ROOT / "switchyard" / "cli" / folder).rglob("*.py")
        ),
        "services.orchestrator.graph",
        "services.specialists.compliance.rules",
        "services.specialists.email_sender.unresolved_sends",
        *(reference.partition(":")[0] for reference, _ in COMMANDS.values()),
    },
    "simulators": {
        "switchyard.devstack.simulators.models.__main__",
        "switchyard.devstack.simulators.ses",
        "demo.oil_field.__main__",
        "switchyard.devstack.stack.provisioner",
    },
}


@dataclass
class Stage:
    """A stage: what it begins with, and its instructions."""

    base: str
    copies: list[tuple[str | None, list[str], str]] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    rest: list[str] = field(default_factory=list)


@cache
def stages() -> dict[str, Stage]:
    """The Dockerfile's stages by name."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    found: dict[str, Stage] = {}
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        word, _, rest = line.partition(" ")
        if word == "FROM":
            base, name = rest.split(" AS ")
            found[name] = Stage(base)
        elif word == "COPY":
            *sources, target = rest.split()
            stage = sources.pop(0).removeprefix("--from=") if sources[0].startswith("--from=") else None
            found[name].copies.append((stage, sources, target))
        elif word == "RUN":
            found[name].runs.append(rest)
        elif word and found:
            found[name].rest.append(line)
    return found


def processes() -> dict[str, str]:
    """Each process's image and its node."""
    return {node.replace("_", "-"): node for node in needs()}


IMAGES = sorted({*processes(), *TOOLS})
each = pytest.mark.parametrize("image", IMAGES)


def code_of(stage: str) -> set[Path]:
    """The folders and files of this repository that a stage has under /app."""
    found: set[Path] = set()
    for origin, sources, target in stages()[stage].copies:
        if origin is None:
            found |= {ROOT / source for source in sources if target != "/build/"}
        elif sources == ["/app"]:
            found |= code_of(origin)
    base = stages()[stage].base
    return found | (code_of(base) if base in stages() else set())


def requirements(image: str) -> dict[str, str]:
    """The packages of an image, by name, each with the line that pins it."""
    lines = (ROOT / "docker" / "requirements" / f"{image}.txt").read_text(encoding="utf-8").splitlines()
    return {line.split("==")[0]: line for line in lines if line and not line.startswith("#")}


def imports(file: Path, *, lazy: bool) -> Iterator[str]:
    """The modules that a file imports: when it is itself imported, or with `lazy` ever."""
    todo: list[ast.AST] = [ast.parse(file.read_text(encoding="utf-8"))]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            inside = file.relative_to(ROOT).parts
            package = inside[2 if inside[0] == "packages" else 0 : -node.level] if node.level else ()
            module = ".".join([*package, *([node.module] if node.module else [])])
            yield from (f"{module}.{name.name}" for name in node.names)
        elif not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)) and (
            lazy or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        ):
            todo += ast.iter_child_nodes(node)


def file_of(module: str) -> Path | None:
    """The file of a module of ours, or of the module that holds the name."""
    parts = module.split(".")
    path = ROOT.joinpath(LIBRARIES.get(parts[0], ""), *parts)
    for candidate in (path / "__init__.py", path.with_suffix(".py"), path.parent / "__init__.py"):
        if candidate.is_file():
            return candidate
    return path.parent.with_suffix(".py") if path.parent.with_suffix(".py").is_file() else None


@cache
def reached(entries: frozenset[str], *, lazy: bool = False) -> tuple[set[Path], set[str]]:
    """Our files that are executed when the entries are imported, and the packages of others."""
    files: set[Path] = set()
    others: set[str] = set()
    todo = list(entries)
    while todo:
        module = todo.pop()
        top = module.split(".")[0]
        if top not in OURS:
            others.add(top)
            continue
        parts = module.split(".")
        for file in {file_of(".".join(parts[: end + 1])) for end in range(len(parts))} - {None} - files:
            assert file is not None
            files.add(file)
            todo += imports(file, lazy=lazy)
    return files, others - set(sys.stdlib_module_names)


def entries(image: str) -> frozenset[str]:
    """The modules that the image's command imports."""
    if image in ENTRIES:
        return frozenset(ENTRIES[image])
    (command,) = (line for line in stages()[image].rest if line.startswith("CMD"))
    words = re.findall(r'"([^"]+)"', command)
    assert words[:2] == ["python", "-m"]
    agent = {AGENTS[words[3]]} if words[2] == "services.specialists" else set()
    return frozenset({f"{words[2]}.__main__"} | agent)


def test_every_process_of_the_catalogue_has_an_image_and_no_other() -> None:
    final = {name for name, stage in stages().items() if stage.base == "runtime"}
    assert final == set(IMAGES)
    made = re.search(r"^IMAGES := (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert made
    assert sorted(made[1].split()) == IMAGES
    assert sorted(path.stem for path in (ROOT / "docker" / "requirements").iterdir()) == IMAGES


@pytest.mark.parametrize(("image", "node"), processes().items())
def test_an_image_starts_the_process_it_is_named_after(image: str, node: str) -> None:
    (command,) = (line for line in stages()[image].rest if line.startswith("CMD"))
    alone = {"drafter": "services.drafter", "audit": "services.audit"}
    assert re.findall(r'"([^"]+)"', command)[-1] == alone.get(node, node)


@each
def test_an_image_has_the_code_that_it_imports(image: str) -> None:
    there = code_of(f"{image}-build")
    missing = {file for file in reached(entries(image))[0] if not {file, *file.parents} & there}
    assert {str(file.relative_to(ROOT)) for file in missing} == set()


@pytest.mark.parametrize("image", sorted({*IMAGES} - {"simulators"}))  # that one is for development
def test_an_image_has_no_code_that_it_can_never_import(image: str) -> None:
    files = reached(entries(image), lazy=True)[0]
    unused = {
        place for place in code_of(f"{image}-build") if not any({file, *file.parents} & {place} for file in files)
    }
    assert {str(place.relative_to(ROOT)) for place in unused} == set()


def test_what_lies_beside_the_code_is_in_the_image_but_for_what_people_read() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    left_out = [line for line in lines if line and not line.startswith(("#", "!"))]
    assert left_out == ["*", "**/__pycache__/", "**/README.md", "packages/faststream-sqs/examples/"]


@each
def test_an_image_has_the_packages_that_its_code_imports(image: str) -> None:
    distributions = packages_distributions()
    there = {name.replace("_", "-") for name in requirements(image)}
    missing = {
        package
        for package in reached(entries(image))[1]
        if not {name.lower().replace("_", "-") for name in distributions[package]} & there
    }
    assert missing == set()


@each
def test_packages_are_installed_by_the_hashes_of_the_lock(image: str) -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pins = set(re.findall(r"^([a-z0-9-]+==\S+)", lock, re.MULTILINE))
    assert {line.split(" ")[0] for line in requirements(image).values()} <= pins
    (run,) = (run for run in stages()[f"{image}-build"].runs if "pip install" in run)
    assert run == (f"uv pip install --require-hashes --no-deps -r /build/{image}.txt -c /build/requirements.lock")


@each
def test_an_image_runs_as_nobody_in_particular_and_takes_only_what_was_built(image: str) -> None:
    stage = stages()[image]
    assert stage.base == "runtime"
    assert stage.runs == []
    own = [line for line in stage.rest if line.split()[0] not in {"LABEL", "CMD"}]
    assert own == (["ENV SWITCHYARD_ENV=aws", "HEALTHCHECK NONE"] if image == "cli" else [])
    taken = {(origin, *sources) for origin, sources, _ in stage.copies}
    assert taken - {(None, "docker/switchyard")} == {(f"{image}-build", "/opt/venv"), (f"{image}-build", "/app")}
    base = stages()["runtime"].rest
    assert "USER 10001:10001" in base
    assert "STOPSIGNAL SIGTERM" in base


def test_agents_that_call_no_model_have_no_model_client() -> None:
    for image in ("router", "case-manager", "audit", "email-sender", "email-feedback"):
        assert not {"openai", "boto3", "pydantic-ai-slim", "snowflake-connector-python"} & set(requirements(image))


def test_databases_in_aws_are_verified_against_roots_that_are_still_valid() -> None:
    roots = x509.load_pem_x509_certificates((ROOT / "docker" / "rds-global-bundle.pem").read_bytes())
    names = {root.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value for root in roots}
    for region in ("us-east-1", "us-west-2", "eu-west-1", "eu-central-1"):
        assert f"Amazon RDS {region} Root CA RSA2048 G1" in names
    for root in roots:
        root.verify_directly_issued_by(root)
        assert root.extensions.get_extension_for_class(x509.BasicConstraints).value.ca

"""The images: one per service, with the code that the service imports and the packages that this code imports.

The tests read the Dockerfile, the import statements and the lock, and collect the code of each image as its build does.
`make compose-test` starts the images.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from cryptography import x509

from services.commands import COMMANDS
from switchyard.devstack.stack.endpoints import Endpoints
from switchyard.devstack.stack.local_stack import list_services
from tests.reference import images, needs

ROOT = Path(__file__).resolve().parents[2]
TOOLS = {"cli", "ingress", "simulators"}
OURS = {
    "contracts",
    "demo",
    "evals",
    "faststream_sqs",
    "latency_failover",
    "services",
    "switchyard",
    "switchyard_client",
}
LIBRARIES = {
    "faststream_sqs": "packages/faststream-sqs",
    "latency_failover": "packages/latency-failover",
    "switchyard_client": "packages/switchyard-client",
}
OURS = {"contracts", "demo", "evals", "services", "switchyard", *LIBRARIES}
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
        # The demo runs in a checkout only.
        *(reference.partition(":")[0] for reference, _ in COMMANDS.values() if not reference.startswith("demo.")),
    },
    "ingress": {"switchyard.ingress.handler", "services.app"},
    "simulators": {
        "switchyard.devstack.simulators.models.__main__",
        "switchyard.devstack.simulators.ses",
        "demo.oil_field.__main__",
        "demo.work_orders.__main__",
        "switchyard.devstack.stack.provisioner",
    },
}


@dataclass
class Stage:
    """A stage: the image or stage that it starts from, and its instructions."""

    base: str
    copies: list[str] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    rest: list[str] = field(default_factory=list)


@cache
def stages() -> dict[str, Stage]:
    """The Dockerfile's stages by name; the last one has none."""
    text = re.sub(r"^ *#.*\n", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    found: dict[str, Stage] = {}
    for line in re.sub(r"\s*\\\n\s*", " ", text).splitlines():
        word, _, rest = line.partition(" ")
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            stage = found[name] = Stage(base)
        elif word == "COPY":
            stage.copies.append(rest)
        elif word == "RUN":
            stage.runs.append(rest)
        elif word and found:
            stage.rest.append(line)
    return found


def processes() -> dict[str, str]:
    """Each service's image and its node."""
    return {node.replace("_", "-"): node for node in needs()}


IMAGES = sorted({*processes(), *TOOLS})
each = pytest.mark.parametrize("image", IMAGES)
each_service = pytest.mark.parametrize("image", sorted(processes()))


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The code of each image, collected by the script and with the arguments of the Dockerfile."""
    [command] = (run for run in stages()["build"].runs if "assemble.py" in run)
    assert command == (
        "--mount=type=bind,target=/source "
        "python /source/docker/assemble.py ${SERVICE} /source /app && python -m compileall -q /app"
    )
    folder = tmp_path_factory.mktemp("images")
    for image in IMAGES:
        script = [sys.executable, str(ROOT / "docker" / "assemble.py"), image, str(ROOT), str(folder / image)]
        subprocess.run(script, check=True)
    return {image: folder / image for image in IMAGES}


def requirements(image: str) -> dict[str, str]:
    """The packages of an image, by name, each with the line that pins it."""
    lines = (ROOT / "docker" / "requirements" / f"{image}.txt").read_text(encoding="utf-8").splitlines()
    return {line.split("==")[0]: line for line in lines if line and not line.startswith("#")}


def imports(file: Path, *, lazy: bool) -> Iterator[str]:
    """The modules that a file imports when it is imported; with `lazy`, also those that it imports or names later."""
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
        elif lazy and isinstance(node, ast.Constant) and isinstance(node.value, str):
            if re.fullmatch(rf"({'|'.join(OURS)})(\.\w+)+(:\w+)?", node.value):
                yield node.value.replace(":", ".")
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
    python, option, program, *arguments = images()[image]["command"].split()
    assert (python, option) == ("python", "-m")
    agent = {name.partition(":")[0] for name in arguments if ":" in name}
    return frozenset({f"{program}.__main__"} | agent)


def test_image_exists_for_every_service_and_each_tool_and_no_other() -> None:
    assert sorted(images()) == IMAGES
    assert sorted(path.stem for path in (ROOT / "docker" / "requirements").iterdir()) == IMAGES
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    [listed] = re.findall(r"^IMAGES = \$\(shell \$\(PYTHON\) -c '(.*)'\)$", makefile, re.MULTILINE)
    printed = subprocess.run([sys.executable, "-c", listed], cwd=ROOT, check=True, capture_output=True, text=True)
    assert sorted(printed.stdout.split()) == IMAGES


@each_service
def test_image_starts_its_service_by_the_command_of_the_local_stack(image: str, collected: dict[str, Path]) -> None:
    endpoints = Endpoints(postgres_port=1, emulator_port=2, simulator_port=3, password="p")
    [local] = (service for service in list_services(endpoints) if service.name == processes()[image])
    start = collected[image] / "start"
    assert start.read_text() == f"#!/bin/sh\nexec python {' '.join(local.argv[1:])}\n"
    assert start.stat().st_mode & 0o777 == 0o755
    assert [line for line in stages()["service"].rest if line.startswith("CMD")] == ['CMD ["/app/start"]']


@each
def test_image_has_the_code_that_it_imports(image: str, collected: dict[str, Path]) -> None:
    files = {file.relative_to(ROOT) for file in reached(entries(image))[0]}
    assert {str(file) for file in files if not (collected[image] / file).is_file()} == set()


@each_service
def test_image_has_no_folder_that_it_never_imports(image: str, collected: dict[str, Path]) -> None:
    files = reached(entries(image), lazy=True)[0]
    copied = [path for pattern in images()[image]["code"] for path in ROOT.glob(pattern)]
    folders = {path if path.is_dir() else path.parent for path in copied}
    assert {str(folder) for folder in folders if not any(folder in file.parents for file in files)} == set()


@each_service
def test_image_has_no_other_services_program(image: str, collected: dict[str, Path]) -> None:
    """The console's has the graph of the orchestrator, which the App is made from, and not what runs it."""
    programs = {path for name in ("main.py", "__main__.py") for path in (ROOT / "services").rglob(name)}
    there = {path.parent for path in programs if (collected[image] / path.relative_to(ROOT)).exists()}
    assert len(programs) > 6
    program = images()[image]["command"].split()[2:]
    # `python -m services.PACKAGE NODE`, or `python -m switchyard.processes PACKAGE.main:FUNCTION`.
    package = program[1].partition(".main:")[0] if program[0] == "switchyard.processes" else program[0]
    assert there == {ROOT.joinpath(*package.split("."))}
    assert not (collected[image] / "demo").exists()


def test_image_has_every_file_of_the_code_but_documentation() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    excluded = [line for line in lines if line and not line.startswith(("#", "!"))]
    assert excluded == ["*", "**/__pycache__/", "**/README.md", "packages/faststream-sqs/examples/"]


@each
def test_image_has_the_packages_that_its_code_imports(image: str) -> None:
    distributions = packages_distributions()
    there = {name.replace("_", "-") for name in requirements(image)}
    missing = {
        package
        for package in reached(entries(image))[1]
        if not {name.lower().replace("_", "-") for name in distributions[package]} & there
    }
    assert missing == set()


@each
def test_packages_are_pinned_as_in_the_lock(image: str) -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pins = set(re.findall(r"^([a-z0-9-]+==\S+)", lock, re.MULTILINE))
    assert {line.split(" ")[0] for line in requirements(image).values()} <= pins


def test_packages_are_installed_by_the_hashes_of_the_lock() -> None:
    [run] = (run for run in stages()["build"].runs if "uv pip install" in run)
    assert run == (
        "--mount=type=cache,target=/root/.cache/uv "
        "uv pip install --require-hashes --no-deps -r /build/requirements/${SERVICE}.txt -c /build/requirements.lock"
    )


def test_service_stage_runs_unprivileged_and_copies_the_build_only() -> None:
    service = stages()["service"]
    assert service.base == stages()["build"].base == "${PYTHON_IMAGE}"
    assert [run.split()[0] for run in service.runs] == ["groupadd"]
    assert [copy for copy in service.copies if copy.startswith("--from")] == [
        "--from=build /opt/venv /opt/venv",
        "--from=build /app /app",
    ]
    assert [copy.split()[0] for copy in service.copies if not copy.startswith("--from")] == [
        "docker/rds-global-bundle.pem",
        "docker/healthcheck.py",
    ]
    assert "USER 10001:10001" in service.rest
    assert "STOPSIGNAL SIGTERM" in service.rest
    assert [line for line in service.rest if line.startswith("HEALTHCHECK")]
    [labels] = (line for line in service.rest if line.startswith("LABEL"))
    for label in ("title", "description", "vendor", "licenses", "version", "revision"):
        assert f"org.opencontainers.image.{label}=" in labels


def test_images_all_use_the_service_stage_and_the_cli_adds_its_command() -> None:
    assert list(stages()) == ["build", "service", "cli", "identity-build", "identity-servers", ""]
    assert stages()[""] == Stage("service")
    assert stages()["cli"] == Stage(
        "service",
        copies=["docker/switchyard /usr/local/bin/switchyard"],
        rest=["ENV SWITCHYARD_ENV=aws", "HEALTHCHECK NONE"],
    )


def test_identity_servers_are_installed_by_the_hashes_of_their_own_lock() -> None:
    assert stages()["identity-build"] == Stage(
        "build",
        copies=["switchyard/devstack/identity/servers.txt /build/"],
        runs=[
            "uv venv --quiet /opt/identity",
            "--mount=type=cache,target=/root/.cache/uv VIRTUAL_ENV=/opt/identity "
            "uv pip install --require-hashes --no-deps -r /build/servers.txt",
        ],
    )
    assert stages()["identity-servers"] == Stage(
        "service",
        copies=["--from=identity-build /opt/identity /opt/identity"],
        rest=["ENV SWITCHYARD_LOCAL_IDENTITY_SERVERS=/opt/identity/bin"],
    )


def test_package_of_the_function_is_built_from_the_lock_by_hash() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    [recipe] = re.findall(r"^ingress-package:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert "docker/assemble.py ingress . dist/ingress" in recipe
    assert "--require-hashes --no-deps" in recipe
    assert "-r docker/requirements/ingress.txt -c requirements.lock" in recipe
    # What Lambda's runtime brings is not pinned: the package brings its own.
    assert {"boto3", "botocore"} <= set(requirements("ingress"))
    [built] = re.findall(r"^BUILT := (.*)$", makefile, re.MULTILINE)
    assert built == "$(filter-out ingress,$(IMAGES))"


def test_image_of_a_service_without_a_model_has_no_model_client() -> None:
    for image in ("router", "case-manager", "audit", "email-sender", "email-feedback", "identity"):
        assert not {"openai", "boto3", "pydantic-ai-slim", "snowflake-connector-python"} & set(requirements(image))


def test_rds_bundle_has_the_self_signed_roots_of_the_regions() -> None:
    roots = x509.load_pem_x509_certificates((ROOT / "docker" / "rds-global-bundle.pem").read_bytes())
    names = {root.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value for root in roots}
    for region in ("us-east-1", "us-west-2", "eu-west-1", "eu-central-1"):
        assert f"Amazon RDS {region} Root CA RSA2048 G1" in names
    for root in roots:
        root.verify_directly_issued_by(root)
        assert root.extensions.get_extension_for_class(x509.BasicConstraints).value.ca

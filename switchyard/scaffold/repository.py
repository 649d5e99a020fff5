"""Writes a repository laid out like the engine's own: a working application of one agent, to be changed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

TEMPLATES = Path(__file__).with_name("files")
SHIPPED = Path(__file__).with_name("shipped")
"""Files of the engine's repository that its wheel holds as they are."""

CHECKOUT = Path(__file__).resolve().parents[2]
DISTRIBUTIONS = ("switchyard-engine", "faststream-sqs", "latency-failover")
COPIED = {
    "requirements.bootstrap.txt": "requirements.bootstrap.txt",
    "docker/healthcheck.py": "docker/healthcheck.py",
    "docker/requirements/ingress.txt": "requirements.ingress.txt",
    "docker/assemble.py": "docker/assemble.py",
    "docker/switchyard": "docker/switchyard",
    "switchyard/devstack/identity/servers.txt": "requirements.identity.txt",
    "docker/postgres": "docker/postgres",
    "docker/rds-global-bundle.pem": "docker/rds-global-bundle.pem",
    "terraform/locals.tf": "terraform/locals.tf",
    "terraform/main.tf": "terraform/main.tf",
    "terraform/modules": "terraform/modules",
    "terraform/outputs.tf": "terraform/outputs.tf",
    "terraform/variables.tf": "terraform/variables.tf",
}
"""What is the same in every repository, and its place there."""

PLACEHOLDER, NAME = "acme", re.compile(r"[a-z][a-z0-9-]{1,29}")
HIDDEN = {"gitignore": ".gitignore", "dockerignore": ".dockerignore"}
"""Templates whose names have no dot here: in this repository they would count as its own."""

TEXT_SUFFIXES = {
    "",
    ".hcl",
    ".in",
    ".json",
    ".lock",
    ".md",
    ".py",
    ".sql",
    ".tf",
    ".tfvars",
    ".toml",
    ".txt",
    ".yaml",
    ".yml",
}
GENERATORS = (
    "switchyard.app.generate",
    "switchyard.devstack.stack.compose_file",
    "switchyard.infra.generate",
)


class CannotCreate(Exception):
    """The repository was not written. `remedy` says what to do."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


def create_repository(folder: Path, *, wheels: Path | None = None) -> Path:
    """Write the repository and return its folder; its name is the folder's.

    `wheels` has the distributions of the engine, where no package index has them. All of it is written, or nothing.
    Raises `CannotCreate`.
    """
    folder = folder.absolute()
    _check(folder, wheels)
    try:
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise _not_writable(folder.parent, error) from error
    try:
        _write(draft, folder.name, wheels)
        draft.chmod(0o755)
        draft.rename(folder)
    except OSError as error:
        raise _not_writable(Path(error.filename or folder), error) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def _check(folder: Path, wheels: Path | None) -> None:
    if NAME.fullmatch(folder.name) is None:
        raise CannotCreate(
            f"{folder.name} is not a name for a repository",
            "take 2 to 30 lower-case letters, digits and hyphens, beginning with a letter",
        )
    if os.path.lexists(folder):
        raise CannotCreate(f"{folder} exists", "choose another name, or remove it")
    if not folder.parent.is_dir():
        raise CannotCreate(f"{folder.parent} is not a folder", "create it first")
    if wheels is not None:
        found = [path.name.replace("_", "-") for path in wheels.glob("*.whl")] if wheels.is_dir() else []
        for name in DISTRIBUTIONS:
            if not any(each.startswith(f"{name}-{version(name)}-") for each in found):
                raise CannotCreate(f"{wheels} has no wheel of {name} {version(name)}", "build it with `make wheels`")


def _not_writable(place: Path, error: OSError) -> CannotCreate:
    return CannotCreate(f"{place} cannot be written: {error.strerror}", "choose a folder that you may write to")


def _write(draft: Path, name: str, wheels: Path | None) -> None:
    engine = " ".join(f"{each}=={version(each)}" for each in DISTRIBUTIONS)
    for path, place in _templates():
        target = draft / place
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix in TEXT_SUFFIXES:
            text = path.read_text(encoding="utf-8").replace(PLACEHOLDER, name).replace("@ENGINE@", engine)
            target.write_text(text, encoding="utf-8")
        else:
            shutil.copyfile(path, target)
    for source, destination in COPIED.items():
        _copy(shipped(source), draft / destination)
    for wheel in wheels.glob("*.whl") if wheels else ():
        _copy(wheel, draft / "wheels" / wheel.name)
    for generator in GENERATORS:
        _generate(generator, draft)


def _templates() -> Iterator[tuple[Path, Path]]:
    for path in sorted(TEMPLATES.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            relative = path.relative_to(TEMPLATES)
            yield path, relative.with_name(HIDDEN.get(relative.name, relative.name))


def shipped(name: str) -> Path:
    """A file or folder of the engine's repository: in a checkout its own, else the wheel's copy."""
    kept = SHIPPED / name
    return kept if kept.exists() else CHECKOUT / name


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", ".terraform*"))
    else:
        shutil.copy(source, target)


def _generate(module: str, draft: Path) -> None:
    """Run a generator on the new application, which only a process of its own can import."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SWITCHYARD_")}
    path = os.pathsep.join(filter(None, (str(draft), environment.get("PYTHONPATH"))))
    environment |= {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(  # noqa: S603 - our own module
        [sys.executable, "-m", module], cwd=draft, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise CannotCreate(f"{module} failed: {done.stderr.strip()}", "report this as a fault of the engine")

"""`python -m tests.packages`: each library of packages/ alone, from its wheel, on each supported Python here.

The newest Python has the newest dependencies, the oldest the lowest that the library declares. Needs the network.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
UV = Path(sys.executable).with_name("uv")
PYTHONS = ("3.11", "3.12", "3.13")
TEST_TOOLS = ("hypothesis", "pytest", "pytest-asyncio", "pytest-timeout", "pytest-xdist")
SHARED = ("conftest.py", "where.py", "emulators.py")


@dataclass(frozen=True)
class Library:
    """A library, its suite, and what the suite needs besides: packages, and tests that need this repository."""

    folder: str
    suite: str
    needs: tuple[str, ...] = ()
    extras: str = ""
    elsewhere: tuple[str, ...] = ()


LIBRARIES = (
    Library("latency-failover", "unit/latency_failover", ("opentelemetry-sdk",)),
    Library(
        "faststream-sqs",
        "faststream_sqs",
        ("jsonschema", "ministack", "opentelemetry-instrumentation-botocore", "opentelemetry-sdk"),
        extras="[otel,prometheus]",
        # The cost is compared with bench/; the others build and read the folder itself, or run its examples.
        elsewhere=(
            "test_cost.py",
            "test_distribution.py",
            "test_readme.py",
            "test_examples.py",
            "test_fastapi.py",
            "conformance",
        ),
    ),
)


def main() -> int:
    """Exit code 1 if a suite failed or no supported Python was found."""
    found = {version: path for version in PYTHONS if (path := find_python(version)) is not None}
    if not found:
        print("no supported Python was found", file=sys.stderr)
        return 1
    failed = []
    for library in LIBRARIES:
        for version, python in found.items():
            lowest = version == min(found)
            print(
                f"== {library.folder} on Python {version}, {'lowest' if lowest else 'newest'} dependencies", flush=True
            )
            with tempfile.TemporaryDirectory(prefix="switchyard-package-") as place:
                if not passes(library, python, Path(place), lowest=lowest):
                    failed.append(f"{library.folder} on {version}")
    print("failed: " + ", ".join(failed) if failed else f"passed on Python {', '.join(found)}")
    return bool(failed)


def find_python(version: str) -> str | None:
    """An interpreter of this version: pyenv's or one of the path."""
    ours = sorted(Path.home().glob(f".pyenv/versions/{version}*/bin/python"))
    return str(ours[-1]) if ours else shutil.which(f"python{version}")


def passes(library: Library, python: str, place: Path, *, lowest: bool) -> bool:
    """Build the wheel, install it with nothing else of this repository, and run its suite from a copy."""
    run([UV, "build", "--quiet", "--wheel", "--out-dir", place, ROOT / "packages" / library.folder])
    (wheel,) = place.glob("*.whl")
    own = place / "bin" / "python"
    run([UV, "venv", "--quiet", "--python", python, "--allow-existing", place])
    resolution = "lowest-direct" if lowest else "highest"
    run([UV, "pip", "install", "--quiet", "--python", own, "--resolution", resolution, f"{wheel}{library.extras}"])
    run([UV, "pip", "install", "--quiet", "--python", own, *TEST_TOOLS, *library.needs])
    tests = place / "tests"
    shutil.copytree(
        ROOT / "tests" / library.suite, tests / library.suite, ignore=shutil.ignore_patterns(*library.elsewhere)
    )
    for name in SHARED:
        shutil.copy(ROOT / "tests" / name, tests / name)
    shutil.copy(ROOT / "pyproject.toml", place / "pyproject.toml")  # pytest's settings
    suite: list[str | Path] = [
        own,
        "-m",
        "pytest",
        f"tests/{library.suite}",
        "-q",
        "-m",
        "not slow",
        "-n",
        "2",
        "--dist",
        "loadfile",
    ]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return run(suite, cwd=place, env=environment, check=False).returncode == 0


def run(
    command: list[str | Path],
    *,
    cwd: Path | None = None,
    env: dict[str, str] | None = None,
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run a command. Raises `subprocess.CalledProcessError` if it fails and `check` is set."""
    return subprocess.run(command, cwd=cwd, env=env, check=check, text=True)


if __name__ == "__main__":
    sys.exit(main())

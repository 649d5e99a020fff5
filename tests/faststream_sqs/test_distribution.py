"""The package can be published as it stands: what its folder builds is complete, and holds nothing else."""

import email
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import faststream_sqs

SOURCE = Path(faststream_sqs.__file__).parents[1]
ROOT = SOURCE.parents[1]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the wheel and the source distribution; built from a copy, where nothing else of us exists."""
    place = tmp_path_factory.mktemp("dist")
    shutil.copytree(SOURCE, place / "copy", ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(place / "built")]
    subprocess.run(command, cwd=place / "copy", check=True, capture_output=True)
    return place / "built"


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    [found] = built.glob("*.whl")
    return found


def names_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_wheel_holds_package_types_and_license_only(wheel: Path) -> None:
    info = "faststream_sqs-0.1.0.dist-info"
    assert wheel.name == "faststream_sqs-0.1.0-py3-none-any.whl"
    modules = {f"faststream_sqs/{path.name}" for path in (SOURCE / "faststream_sqs").glob("*.py")}
    extra = {f"{info}/{name}" for name in ("METADATA", "WHEEL", "RECORD", "licenses/LICENSE")}
    assert names_in(wheel) == {*modules, "faststream_sqs/py.typed", *extra}


def test_metadata_has_license_python_version_and_description(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        metadata = email.message_from_bytes(archive.read("faststream_sqs-0.1.0.dist-info/METADATA"))
    assert metadata["Name"] == "faststream-sqs"
    assert metadata["Version"] == faststream_sqs.__version__
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["Description-Content-Type"] == "text/markdown"
    description = metadata.get_payload(decode=True)
    assert isinstance(description, bytes)
    assert description.decode().strip() == (SOURCE / "README.md").read_text().strip()
    assert set(metadata.get_all("Provides-Extra") or ()) == {"otel", "prometheus"}
    required = {Requirement(each).name for each in metadata.get_all("Requires-Dist") or () if "extra" not in each}
    assert required == {"aiobotocore", "faststream"}


def test_source_distribution_builds_the_same_wheel(built: Path, wheel: Path, tmp_path: Path) -> None:
    [archive] = built.glob("*.tar.gz")
    # Debian's Python 3.11.2 has no `filter`, and 3.12 warns without one.
    subprocess.run(["tar", "-xzf", str(archive), "-C", str(tmp_path)], check=True)
    [unpacked] = tmp_path.iterdir()
    assert {"README.md", "LICENSE", "CHANGELOG.md", "pyproject.toml", "examples"} <= {
        path.name for path in unpacked.iterdir()
    }
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path / "again")]
    subprocess.run(command, cwd=unpacked, check=True, capture_output=True)
    [again] = (tmp_path / "again").glob("*.whl")
    assert names_in(again) == names_in(wheel)


@pytest.mark.slow
def test_wheel_works_without_the_rest_of_the_project(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    program = f"""
import sys
sys.path[:0] = [{str(tmp_path)!r}, {sysconfig.get_path("purelib")!r}]
import asyncio, importlib.util
import faststream_sqs, faststream_sqs.opentelemetry, faststream_sqs.prometheus
assert faststream_sqs.__file__.startswith({str(tmp_path)!r}), faststream_sqs.__file__
for other in ("contracts", "services", "switchyard", "latency_failover", "demo"):
    found = importlib.util.find_spec(other)
    # An editable install leaves data files in a folder of this name, which is no module.
    assert not (found and found.origin), other

async def main():
    broker = faststream_sqs.SQSBroker("eu-central-1", logger=None)

    @broker.subscriber("orders")
    async def handle(body: int) -> None:
        print("handled", body)

    async with faststream_sqs.TestSQSBroker(broker):
        await broker.publish("7", "orders")

asyncio.run(main())
"""
    # -S leaves out the .pth file that makes this project importable everywhere; -I leaves out the current folder.
    command = [sys.executable, "-I", "-S", "-c", program]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.stdout == "handled 7\n", result.stderr


def test_license_equals_the_projects() -> None:
    assert (SOURCE / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()

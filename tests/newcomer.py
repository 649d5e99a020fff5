"""`python -m tests.newcomer`: the first tasks of faststream-sqs's README, from the README alone, in a new environment.

Prints the seconds of each, installation included: at most five minutes. Needs the network.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .faststream_sqs.conftest import _free_port, _wait_until_it_answers

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "packages" / "faststream-sqs" / "README.md").read_text()
AT_MOST = 300.0

TASKS = {
    "worker.py": "attempt 2: shipping a kettle",
    "test_worker.py": "1 passed",
    "request.py": "{'kettle': 40}",
    "fifo.py": "game-1: step 1\ngame-1: step 2\ngame-1: step 3",
    "events.py": "shipping order 7, a OrderPlaced from shop.tills",
}
"""The file of each task, and lines that it prints, in their order."""


def main() -> int:
    """Exit code 1 if a task failed or took longer than five minutes."""
    files = dict(re.findall(r"\*\*: `(\w+\.py)`.*?```python\n(.*?)```", README, re.DOTALL))
    if files.keys() != TASKS.keys():
        print(f"the README has other tasks: {', '.join(files)}", file=sys.stderr)
        return 1
    failed = []
    with tempfile.TemporaryDirectory(prefix="newcomer-") as place:
        home = Path(place)
        began = time.monotonic()
        programs = install(home)
        with emulator(home, programs) as environment:
            installing = time.monotonic() - began
            for name, code in files.items():
                (home / name).write_text(code)
            for name in files:
                began = time.monotonic()
                command = [programs / "pytest", name] if name.startswith("test_") else [programs / "python", name]
                output = run(command, home, environment)
                took = time.monotonic() - began + installing
                well = prints(output, TASKS[name]) and took < AT_MOST
                print(f"{name}: {took:.0f} s, {installing:.0f} of them for installing{'' if well else ': FAILED'}")
                if not well:
                    failed.append(name)
                    print(output, file=sys.stderr)
            output = run([programs / "faststream", "run", "worker:app"], home, environment)
            if not prints(output, TASKS["worker.py"]):
                failed.append("faststream run worker:app")
                print(output, file=sys.stderr)
    print("failed: " + ", ".join(failed) if failed else "each task works from the README alone")
    return bool(failed)


def install(home: Path) -> Path:
    """A new environment with all that the README says to install; returns the folder of its programs."""
    subprocess.run([sys.executable, "-m", "venv", home / "venv"], check=True)
    for what in re.findall(r"(?<!/)\bpip install ((?:'[^']+'|\"[^\"]+\"|[\w.\[\],-]+)(?: [a-z][\w-]+)*)", README):
        subprocess.run([home / "venv" / "bin" / "pip", "install", "--quiet", *shlex.split(what)], cwd=ROOT, check=True)
    subprocess.run([home / "venv" / "bin" / "pip", "check"], check=True)
    return home / "venv" / "bin"


@contextmanager
def emulator(home: Path, programs: Path) -> Iterator[dict[str, str]]:
    """The README's emulator at a free port; yields the environment that the README exports."""
    port = str(_free_port())
    exported = re.search(r"^export (.*)$", README, re.MULTILINE)
    assert exported is not None, "the README exports nothing"
    settings = dict(pair.split("=", 1) for pair in exported[1].replace("4566", port).split())
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTHON"))}
    getting = re.search(r"^(python -m venv emulator.*?) *#", README, re.MULTILINE)
    assert getting is not None, "the README installs no emulator"
    path = f"{programs}{os.pathsep}{environment['PATH']}"
    subprocess.run(["bash", "-c", getting[1]], cwd=home, env={**environment, "PATH": path}, check=True)
    own = {**environment, "GATEWAY_PORT": port, "BIND_HOST": "127.0.0.1", "LOG_LEVEL": "ERROR"}
    with subprocess.Popen([home / "emulator" / "bin" / "ministack"], cwd=home, env=own) as process:
        try:
            _wait_until_it_answers(f"http://127.0.0.1:{port}", process)
            yield {**environment, **settings}
        finally:
            process.terminate()


def run(command: list[Path | str], home: Path, environment: dict[str, str]) -> str:
    """What a program prints, also if it fails or does not end in time."""
    try:
        done = subprocess.run(
            command, cwd=home, env=environment, timeout=AT_MOST, check=False, text=True, stdout=-1, stderr=-2
        )
    except subprocess.TimeoutExpired as error:
        return f"did not end: {error.stdout!r}"
    return done.stdout


def prints(output: str, expected: str) -> bool:
    """Whether the expected lines are in the output, in their order."""
    lines = iter(output.splitlines())
    return all(any(wanted in line for line in lines) for wanted in expected.splitlines())


if __name__ == "__main__":
    sys.exit(main())

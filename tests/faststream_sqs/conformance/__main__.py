"""Run FastStream's own suites for the broker, on a ministack of their own.

    python -m tests.faststream_sqs.conformance [CHECKOUT] [PYTEST OPTION ...]

FastStream's source distribution has no tests, so they come from its repository: a checkout that is given, else one of
the installed version's tag. Nothing of it is kept here.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import faststream_sqs

from ..conftest import _free_port, _wait_until_it_answers

HERE = Path(__file__).parent
REPOSITORY = "https://github.com/ag2ai/faststream"
SUITES = "tests/brokers/test_sqs.py"

DOCUMENTATION = ("tests/docs/index", "tests/docs/getting_started", "tests/docs/integration/fastapi", "tests/docs/redis")
"""The examples of the documentation: those for Redis, with the names of `documented.py`."""

COMMAND = "tests/cli/require_broker"
"""An application with a broker and the command that runs it: written for RabbitMQ."""

_A_QUEUE_HAS_ONE_NAME = "the name of a queue has no pattern: SQS receives from one queue at a time"
_PENDING = "entries of a Redis stream that a consumer group has not acknowledged: SQS has visibility timeouts"
NOT_FOR_SQS = {
    f"{SUITES}::TestPublish::test_publisher_after_connect": "publishes to an undeclared queue, and publishing never "
    "creates one",
    f"{SUITES}::TestArguments3::test_slash_in_title": "expects the title as the address, which is the queue's name",
    "tests/docs/getting_started/asgi": "written for NATS alone; the suite of ASGI above has the cases",
    "tests/docs/redis/pub_sub/test_channel_sub_pattern.py": _A_QUEUE_HAS_ONE_NAME,
    "tests/docs/redis/pub_sub/test_pattern_data.py": _A_QUEUE_HAS_ONE_NAME,
    "tests/docs/redis/stream/test_ack_errors.py": "counts calls of the Redis client",
    "tests/docs/redis/stream/test_claiming.py": _PENDING,
    "tests/docs/redis/stream/test_pel.py": _PENDING,
    "tests/docs/redis/test_pipeline.py": "pipelines of the Redis client: publishes share requests by themselves here",
    "tests/docs/redis/test_security.py": "passwords of Redis: AWS signs requests with its own credentials",
}
"""Cases that are left out, with the reason of each. Two suites have none that applies: the address templates
(`logs.{level}`: see the pattern above) and the batch keys, which are Kafka's."""

PYTEST_INI = """\
[pytest]
timeout = 30
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
markers =
    all
    benchmark
    flaky
    confluent
    connected
    kafka
    mqtt
    nats
    rabbit
    redis
    redis_cluster
    slow
"""


def main(arguments: list[str]) -> int:
    """Run the suites; the exit code is that of pytest."""
    with tempfile.TemporaryDirectory(prefix="faststream-suites-") as place:
        root = Path(place)
        if arguments and (Path(arguments[0]) / "tests" / "brokers" / "base").is_dir():
            checkout = Path(arguments.pop(0))
        else:
            checkout = root / "checkout"
            clone = ["git", "clone", "--quiet", "--depth=1", f"--branch={version('faststream')}", REPOSITORY]
            subprocess.run([*clone, str(checkout)], check=True)
        shutil.copytree(checkout / "tests", root / "tests")
        shutil.copytree(checkout / "docs" / "docs_src", root / "docs" / "docs_src")
        shutil.copy(HERE / "suites.py", root / SUITES)
        shutil.copy(HERE / "documented.py", root / "documented.py")
        _rename(root)
        (root / "pytest.ini").write_text(PYTEST_INI)
        install = ["-m", "uv", "pip", "install", "--quiet", "--no-deps", "--target", str(root / "libraries")]
        subprocess.run([sys.executable, *install, "-r", str(HERE / "requirements.txt")], check=True)
        return _run(root, arguments)


def _rename(root: Path) -> None:
    """Let the documentation's examples and the command's tests take their broker from `documented.py`."""
    files = [root / "tests" / "marks.py", *(root / "tests" / "cli").rglob("*.py")]
    for folder in ("docs/docs_src", "tests/docs"):
        files += (root / folder).rglob("*.py")
    for file in files:
        text = file.read_text()
        renamed = re.sub(r"\bfaststream\.(redis|rabbit)\b", "documented", text)
        renamed = re.sub(r'pytest\.importorskip\("(redis|aio_pika)"\)', "", renamed)
        if renamed != text:
            file.write_text(renamed)


def _run(root: Path, options: list[str]) -> int:
    port = _free_port()
    paths = (root, Path(faststream_sqs.__file__).parents[1], root / "libraries")
    environment = {
        **os.environ,
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
    }
    settings = {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port), "IOT_MTLS_ENABLED": "0", "LOG_LEVEL": "ERROR"}
    program = Path(sys.executable).with_name("ministack")
    with subprocess.Popen([program], cwd=root, env={**os.environ, **settings}) as emulator:
        try:
            _wait_until_it_answers(f"http://127.0.0.1:{port}", emulator)
            failed = 0
            for what, selected in (
                ("FastStream's suites", [SUITES]),
                ("the examples of its documentation", [*DOCUMENTATION, "-k", "redis"]),
                ("its command", [COMMAND]),
            ):
                print(f"== {what}", flush=True)
                left_out = [case for case in NOT_FOR_SQS if case.startswith(tuple(selected))]
                for case in left_out:
                    print(f"left out: {case}: {NOT_FOR_SQS[case]}", flush=True)
                without = [f"--deselect={case}" if "::" in case else f"--ignore={case}" for case in left_out]
                command = [sys.executable, "-m", "pytest", "-q", "-m", "not slow", *selected, *without, *options]
                failed |= subprocess.run(command, cwd=root, env=environment, check=False).returncode
            return failed
        finally:
            emulator.terminate()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Run FastStream's own suites for the broker, on a ministack of their own.

    python -m tests.faststream_sqs.conformance [CHECKOUT] [PYTEST OPTION ...]

FastStream's source distribution has no tests, so they come from its repository: a checkout that is given, else one of
the installed version's tag. Nothing of it is kept here.
"""

import os
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

NOT_FOR_SQS = {
    "TestPublish::test_publisher_after_connect": "publishes to an undeclared queue, and publishing never creates one",
    "TestArguments3::test_slash_in_title": "expects the title as the address; the address of a channel is its queue",
}
"""Cases of the suites that are left out, with the reason of each. Whole suites without a meaning here: the address
templates (`logs.{level}`: a queue's name has no pattern), the batch keys (Kafka's), and FastAPI's, which need a router
of the broker's own."""

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
            shutil.copytree(Path(arguments.pop(0)) / "tests", root / "tests")
        else:
            checkout = root / "checkout"
            clone = ["git", "clone", "--quiet", "--depth=1", f"--branch={version('faststream')}", REPOSITORY]
            subprocess.run([*clone, str(checkout)], check=True)
            shutil.copytree(checkout / "tests", root / "tests")
        shutil.copy(HERE / "suites.py", root / SUITES)
        (root / "pytest.ini").write_text(PYTEST_INI)
        install = ["-m", "uv", "pip", "install", "--quiet", "--no-deps", "--target", str(root / "libraries")]
        subprocess.run([sys.executable, *install, "-r", str(HERE / "requirements.txt")], check=True)
        return _run(root, arguments)


def _run(root: Path, options: list[str]) -> int:
    for case, reason in NOT_FOR_SQS.items():
        print(f"left out: {case}: {reason}", flush=True)
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
            left_out = [f"--deselect={SUITES}::{case}" for case in NOT_FOR_SQS]
            command = [sys.executable, "-m", "pytest", "-q", SUITES, "-m", "not slow", *left_out, *options]
            return subprocess.run(command, cwd=root, env=environment, check=False).returncode
        finally:
            emulator.terminate()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""LocalStack 4.14.0, the last release that needs no token, for as long as a command runs.

`python -m tests.faststream_sqs.localstack COMMAND` gives the command its address as AWS_ENDPOINT_URL.

It lives in an environment of its own (.venv-localstack, made by `make test-localstack`), because it needs Python 3.13
and dependencies of its time. It is stopped by its process id, also when the command fails or is interrupted.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PYTHON = Path(__file__).parents[2] / ".venv-localstack" / "bin" / "python"
_PATIENCE = 90.0  # seconds until it must be healthy; it takes about 7 on a quiet machine
_GRACE = 15.0  # seconds to end by itself


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """The address of a LocalStack that lives as long as the context.

    Raises:
        FileNotFoundError: its environment is missing.
        RuntimeError: it ended while starting.
        TimeoutError: it did not become healthy.
    """
    if not PYTHON.exists():
        raise FileNotFoundError(f"{PYTHON} is missing: `make test-localstack` creates it")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    settings = {
        "GATEWAY_LISTEN": address,
        "SERVICES": "sqs,events",
        "EAGER_SERVICE_LOADING": "1",
        "LOCALSTACK_VOLUME_DIR": str(folder / "volume"),
        "DISABLE_EVENTS": "1",  # it sends usage statistics otherwise
        "SKIP_SSL_CERT_DOWNLOAD": "1",
        "DNS_ADDRESS": "0",
    }
    log_path = folder / "log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [PYTHON, "-m", "localstack.runtime.main"],
            cwd=folder,
            env={**os.environ, **settings},
            stdout=log,
            stderr=log,
            start_new_session=True,  # an interrupt is for the tests; this one is stopped after them
        )
        try:
            _wait(f"http://{address}/_localstack/health", process, log_path)
            yield f"http://{address}"
        finally:
            process.terminate()
            try:
                process.wait(_GRACE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        if process.poll() is not None:
            output = log.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"LocalStack ended with {process.returncode} while starting:\n{output}")
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                if b'"events": "running"' in answer.read():
                    return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            pass
        time.sleep(0.2)
    raise TimeoutError(f"LocalStack was not healthy within {_PATIENCE} s; its log is {log}")


def main(command: list[str]) -> int:
    """Run `command` with AWS_ENDPOINT_URL set to a fresh LocalStack, and return its exit code."""
    # As an interrupt does, so that LocalStack is stopped when the caller is.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="localstack-") as folder, running(Path(folder)) as endpoint:
        print(f"LocalStack listens at {endpoint}", flush=True)
        tests = subprocess.Popen(command, env={**os.environ, "AWS_ENDPOINT_URL": endpoint})
        try:
            return tests.wait()
        except KeyboardInterrupt:
            tests.send_signal(signal.SIGINT)
            tests.wait(_GRACE)
            return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

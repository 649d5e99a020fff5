"""The simulator as a process: how it starts, how it stops, and what it says when it cannot start."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.integration.simulator.running import RULES, Running, start


def test_process_answers_after_printing_its_line() -> None:
    process, url = start()
    with process:
        assert Running(url).get("/sim/health") == {"status": "ok", "simulator": "scripted", "rules": 2}
        process.terminate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_process_stops_at_once_despite_stalled_streams(number: signal.Signals) -> None:
    process, url = start("--script", str(RULES))
    with process:
        simulator = Running(url)
        simulator.inject(stall_after_tokens=1)
        host, port = url.removeprefix("http://").split(":")
        client = (
            "import http.client, sys\n"
            f"c = http.client.HTTPConnection({host!r}, {port})\n"
            "c.request('POST', '/v1/chat/completions',"
            ' \'{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}\')\n'
            "c.getresponse().read()\n"
        )
        with subprocess.Popen([sys.executable, "-c", client], stderr=subprocess.PIPE, text=True) as stalled:
            simulator.eventually(lambda report: report["streams"]["active"] == 1)
            began = time.monotonic()
            process.send_signal(number)
            assert process.wait(timeout=10) == 0
            assert time.monotonic() - began < 2
            assert "IncompleteRead" in stalled.communicate(timeout=10)[1]


def test_invalid_script_is_explained_and_the_process_exits(tmp_path: Path) -> None:
    script = tmp_path / "bad.yaml"
    script.write_text("rules: [{name: a, when: {}, reply: {}}]")
    done = subprocess.run(
        [sys.executable, "-m", "switchyard.devstack.simulators.models", "--script", str(script)],
        check=False,
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"model simulator: {script}: rule 'a', reply: answers nothing: give one of text, tools, output\n"
    )


def test_port_in_use_is_reported(tmp_path: Path) -> None:
    process, url = start()
    with process:
        port = url.rsplit(":", 1)[1]
        done = subprocess.run(
            [sys.executable, "-m", "switchyard.devstack.simulators.models", "--port", port],
            check=False,
            capture_output=True,
            text=True,
            timeout=20,
        )
        process.terminate()
    assert done.returncode == 2
    assert "in use" in done.stderr

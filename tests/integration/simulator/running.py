"""A simulator process as tests see it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

RULES = Path(__file__).with_name("rules.yaml")
BEDROCK_MODEL = "us.amazon.nova-pro-v1:0"
OPENAI_MODEL = "gpt-test"


class Running:
    """A simulator process, and its /sim pages."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str) -> Any:
        with urlopen(f"{self.url}{path}", timeout=10) as response:
            return json.load(response)

    def send(self, method: str, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        with urlopen(Request(f"{self.url}{path}", data, method=method), timeout=10) as response:
            return json.loads(response.read() or b"null")

    def inject(self, **fault: object) -> int:
        fault_id = self.send("POST", "/sim/faults", fault)["id"]
        assert isinstance(fault_id, int)
        return fault_id

    def streams(self) -> dict[str, int]:
        counts: dict[str, int] = self.get("/sim/calls")["streams"]
        return counts

    def eventually(self, seen: Callable[[dict[str, Any]], bool], within_s: float = 5) -> dict[str, Any]:
        """The report of calls once it shows something; it is asked again and again until then."""
        deadline = time.monotonic() + within_s
        while True:
            report: dict[str, Any] = self.get("/sim/calls")
            if seen(report):
                return report
            assert time.monotonic() < deadline, f"not seen within {within_s} s: {report}"


def start(*arguments: str) -> tuple[subprocess.Popen[str], str]:
    """Start a simulator and wait for its line."""
    process = subprocess.Popen(
        [sys.executable, "-m", "switchyard.devstack.simulators.models", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert "ready on http://" in line, f"{line}{process.communicate()[1]}"
    return process, line.split(" on ")[1].split()[0]

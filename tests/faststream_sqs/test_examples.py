"""Every example runs as it stands, and prints what it should."""

import re
import runpy
from pathlib import Path

import pytest

import faststream_sqs

EXAMPLES = Path(faststream_sqs.__file__).parents[1] / "examples"

PRINTED = {
    "minimal": ["shipping a kettle"],
    "events": [
        "shipping order 7, a OrderPlaced from shop.tills",
        "refused order 8: unexpected detail-type OrderCancelled",
    ],
    "batch": ["stored 2 of 3", "stored 1 of 1"],
    "application": [
        "example-quotes took less than five seconds",
        "kettle costs acme 40",
        "example-answers took less than five seconds",
    ],
    "fifo": ["game-1: step 1", "game-1: step 2", "game-1: step 3"],
    "request": ["{'kettle': 40}"],
    "in_memory": ["first attempt: carrier is down", "second attempt: shipped", "rejected: no such order"],
}
LOG_LINE = re.compile(r"\d{4}-\d\d-\d\d ")


def test_no_example_is_left_out() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(PRINTED)


@pytest.mark.parametrize("name", PRINTED)
def test_an_example_prints_what_it_says(
    name: str, endpoint: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    # The one in memory would fail if it called out.
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9" if name == "in_memory" else endpoint)
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    out, error = capfd.readouterr()
    printed = [line for line in out.splitlines() if not LOG_LINE.match(line)]
    assert sorted(printed) == sorted(PRINTED[name]), error

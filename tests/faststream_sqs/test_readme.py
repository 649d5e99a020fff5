"""The README says what is so."""

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import faststream_sqs
from faststream_sqs import EventBridgePublisher, SQSBroker, SQSResponse, SQSRouter

FOLDER = Path(faststream_sqs.__file__).parents[1]
README = (FOLDER / "README.md").read_text()


def test_the_quick_start_is_the_example_that_runs() -> None:
    [first, *_] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert first.strip() in (FOLDER / "examples" / "minimal.py").read_text()


def test_its_other_code_runs() -> None:
    [_, *others] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert others
    for code in others:
        exec(compile(code, "README.md", "exec"), {})


def test_the_tests_it_names_exist() -> None:
    tests = "\n".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    named = set(re.findall(r"`(test_\w+)`", README))
    assert len(named) >= 12
    assert {name for name in named if f"def {name}(" not in tests} == set()


@pytest.mark.parametrize(
    "function",
    [
        SQSBroker.__init__,
        SQSBroker.subscriber,
        SQSBroker.publish,
        SQSBroker.publish_batch,
        SQSBroker.publisher,
        SQSBroker.event_publisher,
        EventBridgePublisher.publish,
        SQSRouter.__init__,
        SQSResponse.__init__,
    ],
    ids=lambda function: str(function.__qualname__),
)
def test_it_names_every_setting(function: Callable[..., Any]) -> None:
    settings = set(inspect.signature(function).parameters) - {"self", "message", "messages", "options"}
    assert {name for name in settings if not re.search(rf"[`(,\s]{name}\b", README)} == set()


def test_its_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)]+)\)", README)
    assert {link for link in links if not link.startswith("https://") and not (FOLDER / link).exists()} == set()

"""The README says what is so."""

import inspect
import re
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import faststream_sqs
from faststream_sqs import EventBridgePublisher, SQSBroker, SQSResponse, SQSRouter

FOLDER = Path(faststream_sqs.__file__).parents[1]
README = (FOLDER / "README.md").read_text()


def test_tasks_equal_the_examples() -> None:
    blocks = re.findall(r"\*\*: `(\w+\.py)`.*?```python\n(.*?)```", README, re.DOTALL)
    assert [name for name, _ in blocks] == ["worker.py", "test_worker.py", "request.py", "fifo.py", "events.py"]
    for name, code in blocks:
        assert (FOLDER / "examples" / name).read_text().endswith(f'"""\n\n{code}'), name


def test_other_code_runs(tmp_path: Path) -> None:
    [*_, metrics] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    (tmp_path / "metrics.py").write_text(metrics)
    assert isinstance(runpy.run_path(str(tmp_path / "metrics.py"))["broker"], SQSBroker)


def test_tests_named_in_the_readme_exist() -> None:
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
def test_settings_are_all_in_the_readme(function: Callable[..., Any]) -> None:
    settings = set(inspect.signature(function).parameters) - {"self", "message", "messages", "options"}
    assert {name for name in settings if not re.search(rf"[`(,\s]{name}\b", README)} == set()


def test_readme_links_resolve() -> None:
    links = re.findall(r"\]\(([^)]+)\)", README)
    assert {link for link in links if not link.startswith("https://") and not (FOLDER / link).exists()} == set()

"""The README says what is so."""

import inspect
import re
import runpy
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import faststream_sqs
from faststream_sqs import EventBridgePublisher, SQSBroker, SQSResponse, SQSRouter

FOLDER = Path(faststream_sqs.__file__).parents[1]
README = (FOLDER / "README.md").read_text()


def test_quick_start_equals_the_minimal_example() -> None:
    [first, *_] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert first.strip() in (FOLDER / "examples" / "minimal.py").read_text()


async def test_readme_code_runs(tmp_path: Path) -> None:
    [_, *others] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    tests: list[Callable[[], Awaitable[None]]] = []
    for number, code in enumerate(others):
        (tmp_path / f"{number}.py").write_text(code)
        names = runpy.run_path(str(tmp_path / f"{number}.py"))
        tests += [names[name] for name in names if name.startswith("test_")]
    [test] = tests
    await test()


async def test_its_tasks_work_on_sqs(make_broker: Callable[..., SQSBroker], monkeypatch: pytest.MonkeyPatch) -> None:
    [_, tasks, *_] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(tasks, "README.md", "exec"), names)
    real = names["broker"]
    broker = make_broker(declare="create")
    for subscriber in real.subscribers:
        subscriber.config.wait_time = 1
    monkeypatch.setattr(real.config.broker_config, "connection", broker.config.connection)
    for producer in (real.config.producer, real.config.event_producer):
        monkeypatch.setattr(producer, "_connection", broker.config.connection)
    await real.start()
    try:
        await names["use"]()
    finally:
        await real.stop()


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

"""A log line says which exceptions were raised and where; what they say stays out, for it may quote a payload."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from switchyard.runtime.core.logs import MAX_CHAIN, MAX_FRAMES, BrokerLog, strip_exception_text

MARKER = "Zanzibar-4711"


def caught(raising: Callable[[], None]) -> Exception:
    with pytest.raises((ValueError, KeyError)) as error:
        raising()
    return error.value


def fail() -> None:
    raise ValueError(f"cannot read {MARKER}")


def fail_because() -> None:
    try:
        fail()
    except ValueError as error:
        raise KeyError(MARKER) from error


def fail_while_handling() -> None:
    try:
        fail()
    except ValueError:
        raise KeyError(MARKER)  # noqa: B904 - the implicit chain is what is tested


def fail_deeply(depth: int = 50) -> None:
    if depth == 0:
        fail()
    fail_deeply(depth - 1)


def fail_in_a_long_chain(length: int = 20) -> None:
    try:
        fail() if length == 0 else fail_in_a_long_chain(length - 1)
    except (ValueError, KeyError) as error:
        raise KeyError(length) from error


def written(exc_info: object) -> list[dict[str, Any]]:
    """What a line says of an exception; the whole line is checked for the marker on the way."""
    line = dict(strip_exception_text(None, "error", {"event": "task.defect", "exc_info": exc_info}))
    assert MARKER not in json.dumps(line)
    exception: list[dict[str, Any]] = line["exception"]
    return exception


def test_logged_exception_has_type_and_place_but_no_text() -> None:
    [answer] = written(caught(fail))
    assert answer["type"] == "ValueError"
    assert answer["at"][-1].endswith(" fail")
    assert "test_logs.py:" in answer["at"][-1]


def test_logged_exception_lists_causes_nearest_first() -> None:
    for raising in (fail_because, fail_while_handling):
        assert [each["type"] for each in written(caught(raising))] == ["KeyError", "ValueError"]


def test_logged_exception_omits_suppressed_cause() -> None:
    error = caught(fail_while_handling)
    error.__suppress_context__ = True
    assert [each["type"] for each in written(error)] == ["KeyError"]


def test_deep_stack_keeps_its_inner_end_and_a_long_chain_its_outer() -> None:
    [deep] = written(caught(fail_deeply))
    assert len(deep["at"]) == MAX_FRAMES
    assert deep["at"][-1].endswith(" fail")
    assert len(written(caught(fail_in_a_long_chain))) == MAX_CHAIN


def test_exception_triple_is_logged_like_the_exception() -> None:
    error = caught(fail)
    assert written((type(error), error, error.__traceback__)) == written(error)


def test_exc_info_true_logs_the_handled_exception() -> None:
    answer = []
    try:
        fail()
    except ValueError:
        answer = written(True)
    assert [each["type"] for each in answer] == ["ValueError"]


def test_line_without_an_exception_is_unchanged() -> None:
    assert strip_exception_text(None, "info", {"event": "task.done"}) == {"event": "task.done"}
    assert strip_exception_text(None, "info", {"event": "task.done", "exc_info": None}) == {"event": "task.done"}


def test_broker_warning_is_logged_without_lines_about_messages() -> None:
    broker = BrokerLog()
    with capture_logs() as lines:
        broker.log(30, "polling `q` failed, 3 in a row: AccessDenied", extra={"queue": "q", "message_id": ""})
        broker.log(20, "Received", extra={"queue": "q", "message_id": "m"})
        broker.log(40, f"ValueError: {MARKER}", extra={"queue": "q", "message_id": "m"}, exc_info=caught(fail))
    [line] = lines
    assert (line["event"], line["queue"], line["log_level"]) == ("broker.warning", "q", "warning")
    assert "AccessDenied" in line["text"]

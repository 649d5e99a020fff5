"""Structured JSON logs with case and session ids, and no payload text."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from traceback import walk_tb
from typing import Any

import structlog
from structlog.typing import EventDict

from switchyard.protocol.envelope import Envelope

MAX_FRAMES = 15
MAX_CHAIN = 5
NOISY_LOGGERS = "botocore aiobotocore urllib3 httpx httpx2 httpcore2 openai asyncio aiohttp.access faststream_sqs"
"""Libraries whose own lines are logged from WARNING on."""


def configure_logs(node: str, level: str) -> None:
    """Send structlog and the standard library's logs to stderr as one JSON object a line."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        strip_exception_text,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.EventRenamer("event"),
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in NOISY_LOGGERS.split():
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLevelName(level)))
    structlog.contextvars.bind_contextvars(node=node)


def strip_exception_text(_logger: object, _method: str, line: EventDict) -> EventDict:
    """A log processor: say which exceptions were raised and where, not what they say, which may quote a payload."""
    error = line.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()
    if isinstance(error, tuple):
        error = error[1]
    chain: list[dict[str, object]] = []
    while isinstance(error, BaseException) and len(chain) < MAX_CHAIN:
        at = [
            f"{frame.f_code.co_filename}:{number} {frame.f_code.co_name}"
            for frame, number in walk_tb(error.__traceback__)
        ]
        chain.append({"type": type(error).__qualname__, "at": at[-MAX_FRAMES:]})
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if chain:
        line["exception"] = chain
        if (record := line.get("_record")) is not None:
            # A library's own line about an exception repeats what it says.
            line["event"] = f"{record.name}: {chain[0]['type']}"
    return line


class BrokerLog:
    """FastStream's logger: the broker's own warnings (polling refused, a lease lost), as structured lines."""

    def log(self, level: int, message: Any, /, *, exc_info: Any = None, extra: Mapping[str, Any] | None = None) -> None:
        """Write a line. FastStream's lines about a message quote errors: `message.failed` stands for them."""
        fields = dict(extra or {})
        if level < logging.WARNING or fields.pop("message_id", ""):
            return
        structlog.get_logger("faststream_sqs").log(
            level, "broker.warning", text=str(message), exc_info=exc_info, **fields
        )


@contextmanager
def log_context(envelope: Envelope) -> Iterator[None]:
    """Every log line inside names the event, its case and its session."""
    with structlog.contextvars.bound_contextvars(
        case_id=envelope.case_id, session_id=envelope.session_id, event_id=envelope.event_id, type=envelope.type
    ):
        yield

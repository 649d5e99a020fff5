"""The broker's own log format."""

import logging
from functools import partial
from typing import Any

from faststream._internal.basic_types import LoggerProto
from faststream._internal.context import ContextRepo
from faststream._internal.logger import DefaultLoggerStorage, make_logger_state
from faststream._internal.logger.logging import get_broker_logger

_MESSAGE_ID_WIDTH = 10


class SQSLoggerStorage(DefaultLoggerStorage):
    """Builds the default logger, as wide as the longest queue name."""

    def __init__(self) -> None:
        super().__init__()
        self._queue_width = 4
        self.logger_log_level = logging.INFO

    def register_subscriber(self, params: dict[str, Any]) -> None:
        """Make room for the name of this subscriber's queue."""
        self._queue_width = max(self._queue_width, len(params.get("queue", "")))

    def get_logger(self, *, context: ContextRepo) -> LoggerProto:
        """The logger, built on first use."""
        if logger := self._get_logger_ref():
            return logger
        logger = get_broker_logger(
            name="sqs",
            default_context={"queue": ""},
            message_id_ln=_MESSAGE_ID_WIDTH,
            fmt=(
                "%(asctime)s %(levelname)-8s - "
                f"%(queue)-{self._queue_width}s | %(message_id)-{_MESSAGE_ID_WIDTH}s - %(message)s"
            ),
            context=context,
            log_level=self.logger_log_level,
        )
        self._logger_ref.add(logger)
        return logger


make_sqs_logger_state = partial(make_logger_state, default_storage_cls=SQSLoggerStorage)

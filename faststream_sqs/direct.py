"""The short way of one message to its handler, when FastStream has nothing else to do for it: the usual case."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from faststream._internal.endpoint.subscriber.call_item import CallsCollection
from faststream.message import StreamMessage
from faststream.middlewares.logging import CriticalLogMiddleware
from faststream.response import Response

from .config import SQSBrokerConfig


class DirectPath:
    """Does what `SubscriberUsecase.process_message` does for a subscriber with one handler and nothing around it.

    What FastStream prepares there for middlewares, publishers and further handlers costs about as much as everything
    else that happens to a message (bench/README.md). Whatever is not the usual case takes FastStream's way.

    It must be called in a task of the message's own: what it puts in the context is not taken out again.

    Args:
        handler: what `Context("handler_")` gives, the subscriber.
        calls: the subscriber's handlers.
        config: the broker's settings.
        log_context: what log lines say about a message.
        whole: FastStream's way.
    """

    def __init__(
        self,
        handler: Any,
        calls: CallsCollection[Any],
        config: SQSBrokerConfig,
        *,
        log_context: Callable[[StreamMessage[Any]], Mapping[str, str]],
        whole: Callable[[Any], Awaitable[Response]],
    ) -> None:
        self._calls = calls
        self._config = config
        self._log_context = log_context
        self._whole = whole
        self._context = config.context
        self._constants = {"handler_": handler, "logger": config.logger.logger.logger, **config.extra_context}
        self._lines = CriticalLogMiddleware(config.logger)

    async def process(self, unit: Any) -> Any:
        """Run the handler on one unit and return what it returned, unless that was published; errors pass through."""
        call = self._calls[0]
        if len(self._calls) > 1 or call.handler._publishers or self._config.broker_middlewares:
            return await self._process_whole(unit)
        try:
            message = await call.is_suitable(unit, {})
        except Exception:  # noqa: BLE001 - it fails there again, and is told there
            message = None
        if message is None or message.reply_to:
            return await self._process_whole(unit)
        put = self._context.set_local
        for name, value in self._constants.items():
            put(name, value)
        put("log_context", self._log_context(message))
        put("message", message)
        async with self._lines(unit, context=self._context) as lines:
            result = await call.call(message=message, _extra_middlewares=(lines.consume_scope,))
        return result.body if isinstance(result, Response) else result

    async def _process_whole(self, unit: Any) -> Any:
        response = await self._whole(unit)
        published = any(call.handler._publishers for call in self._calls)
        return None if published else response.body

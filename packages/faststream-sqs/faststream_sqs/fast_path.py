"""The fast path of one message to its handler, if FastStream has nothing else to do for it: the usual case."""

from typing import Any

from faststream._internal.endpoint.subscriber import SubscriberUsecase
from faststream.middlewares.logging import CriticalLogMiddleware
from faststream.response import Response

from .config import SQSBrokerConfig


class DirectPath:
    """Does what `SubscriberUsecase.process_message` does for a subscriber with one handler and nothing around it.

    FastStream's preparations for middlewares, publishers and further handlers cost about as much as the rest of the
    processing. Any other case takes FastStream's own path.

    It must be called in the message's own task, because it does not remove what it puts in the context.

    Args:
        subscriber: the owner of the handler.
        config: the settings of the subscriber's broker.
    """

    def __init__(self, subscriber: SubscriberUsecase[Any], config: SQSBrokerConfig) -> None:
        self._subscriber = subscriber
        self._config = config
        self._context = config.context
        self._constants = {"handler_": subscriber, "logger": config.logger.logger.logger, **config.extra_context}
        self._lines = CriticalLogMiddleware(config.logger)

    async def process(self, unit: Any) -> Any:
        """Run the handler on one unit and return its result, unless that was published; errors pass through."""
        calls = self._subscriber.calls
        call = calls[0]
        if len(calls) > 1 or call.handler._publishers or self._config.broker_middlewares:
            return await process_with_faststream(self._subscriber, unit)
        try:
            message = await call.is_suitable(unit, {})
        except Exception:  # noqa: BLE001 - it fails there again, and is reported there
            message = None
        if message is None or message.reply_to:
            return await process_with_faststream(self._subscriber, unit)
        put = self._context.set_local
        for name, value in self._constants.items():
            put(name, value)
        put("log_context", self._subscriber.get_log_context(message))
        put("message", message)
        async with self._lines(unit, context=self._context) as lines:
            result = await call.call(message=message, _extra_middlewares=(lines.consume_scope,))
        return result.body if isinstance(result, Response) else result


async def process_with_faststream(subscriber: SubscriberUsecase[Any], unit: Any) -> Any:
    """The same on FastStream's own path."""
    response = await subscriber.process_message(unit)
    published = any(call.handler._publishers for call in subscriber.calls)
    return None if published else response.body

"""The short way of one message to its handler, when FastStream has nothing else to do for it: the usual case."""

from typing import Any

from faststream._internal.endpoint.subscriber import SubscriberUsecase
from faststream.middlewares.logging import CriticalLogMiddleware
from faststream.response import Response

from .config import SQSBrokerConfig


class DirectPath:
    """Does what `SubscriberUsecase.process_message` does for a subscriber with one handler and nothing around it.

    What FastStream prepares there for middlewares, publishers and further handlers costs about as much as everything
    else that happens to a message. Whatever is not the usual case takes FastStream's way.

    It must be called in a task of the message's own: what it puts in the context is not taken out again.

    Args:
        subscriber: whose handler it is.
        config: the settings of the subscriber's broker.
    """

    def __init__(self, subscriber: SubscriberUsecase[Any], config: SQSBrokerConfig) -> None:
        self._subscriber = subscriber
        self._config = config
        self._context = config.context
        self._constants = {"handler_": subscriber, "logger": config.logger.logger.logger, **config.extra_context}
        self._lines = CriticalLogMiddleware(config.logger)

    async def process(self, unit: Any) -> Any:
        """Run the handler on one unit and return what it returned, unless that was published; errors pass through."""
        calls = self._subscriber.calls
        call = calls[0]
        if len(calls) > 1 or call.handler._publishers or self._config.broker_middlewares:
            return await process_with_faststream(self._subscriber, unit)
        try:
            message = await call.is_suitable(unit, {})
        except Exception:  # noqa: BLE001 - it fails there again, and is told there
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
    """The same in FastStream's own way."""
    response = await subscriber.process_message(unit)
    published = any(call.handler._publishers for call in subscriber.calls)
    return None if published else response.body

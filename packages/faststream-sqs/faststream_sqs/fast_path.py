"""The fast path of one message to its handler, if FastStream has nothing else to do for it: the usual case."""

import inspect
from collections.abc import Awaitable, Callable, Reversible, Sequence
from typing import Any

from fast_depends.core import CallModel
from fast_depends.dependencies import Dependant
from faststream._internal.basic_types import Decorator
from faststream._internal.context import ContextRepo
from faststream._internal.context.context_type import Context
from faststream._internal.di import FastDependsConfig
from faststream._internal.endpoint.call_wrapper import HandlerCallWrapper
from faststream._internal.endpoint.subscriber import SubscriberUsecase
from faststream._internal.types import P_HandlerParams, T_HandlerReturn
from faststream.message import StreamMessage
from faststream.middlewares.logging import CriticalLogMiddleware
from faststream.response import Response

from .config import SQSBrokerConfig
from .invalid import mark_invalid_arguments


class DirectPath:
    """Does what `SubscriberUsecase.process_message` does for a subscriber with one handler and nothing around it.

    FastStream's preparations for middlewares, publishers and further handlers cost about as much as the rest of the
    processing. Any other case takes FastStream's own path.

    It must be called in the message's own task, because it does not remove what it puts in the context; that task
    inherits the rest of the context from one that called `enter`.

    Args:
        subscriber: the owner of the handler.
        config: the settings of the subscriber's broker.
    """

    def __init__(self, subscriber: SubscriberUsecase[Any], config: SQSBrokerConfig) -> None:
        self._subscriber = subscriber
        self._config = config
        self._context = config.context
        self._log = config.logger.log
        self._lines = CriticalLogMiddleware(config.logger)

    def enter(self) -> None:
        """Put into the context what all messages have in common. The tasks that the caller starts inherit it."""
        config = self._config
        constants = {"handler_": self._subscriber, "logger": config.logger.logger.logger, **config.extra_context}
        for name, value in constants.items():
            self._context.set_local(name, value)

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
        log_context = self._subscriber.get_log_context(message)
        self._context.set_local("log_context", log_context)
        self._context.set_local("message", message)
        self._log("Received", extra=log_context)
        try:
            result = await call.call(message=message, _extra_middlewares=())
        except BaseException as error:
            lines = self._lines(unit, context=self._context)
            await lines.__aexit__(type(error), error, error.__traceback__)
            raise
        self._log("Processed", extra=log_context)
        return result.body if isinstance(result, Response) else result


async def process_with_faststream(subscriber: SubscriberUsecase[Any], unit: Any) -> Any:
    """The same on FastStream's own path."""
    response = await subscriber.process_message(unit)
    published = any(call.handler._publishers for call in subscriber.calls)
    return None if published else response.body


class SQSHandlerCallWrapper(HandlerCallWrapper[P_HandlerParams, T_HandlerReturn]):
    """Calls a handler directly if it takes only a body and context values: the usual case, at half the cost."""

    def set_wrapped(
        self,
        *,
        dependencies: Sequence[Dependant],
        _call_decorators: Reversible[Decorator],
        config: FastDependsConfig,
    ) -> CallModel:
        """Prepare the call as FastStream does, and shorten it where the result is the same."""
        model = super().set_wrapped(dependencies=dependencies, _call_decorators=_call_decorators, config=config)
        mark_invalid_arguments(model)
        if config.use_fastdepends and config.get_dependent is None and _is_plain(model):
            self._wrapped_call = _direct_call(model, config.context)
        return model


def _is_plain(model: CallModel) -> bool:
    """Whether the handler takes at most one value from the message, and the rest from the context."""
    return (
        not model.dependencies
        and not model.extra_dependencies
        and not model.is_generator
        and model.serializer is not None
        and len(model.params) <= 1
        and all(param.kind is not inspect.Parameter.VAR_POSITIONAL for param in model.params)
        and model.kwargs_name is None
        and set(model.alias_arguments) == {*(param.field_name for param in model.params), *model.custom_fields}
        and all(isinstance(field, Context) for field in model.custom_fields.values())
    )


def _direct_call(model: CallModel, context: ContextRepo) -> Callable[[StreamMessage[Any]], Awaitable[Any]]:
    body_name = model.params[0].field_name if model.params else None
    fields = {name: field for name, field in model.custom_fields.items() if isinstance(field, Context)}
    message_names = [name for name, field in fields.items() if _is_message(field)]
    others = [field for field in fields.values() if not _is_message(field)]
    call = model.call
    cast: Any = model.serializer
    respond = cast.response

    async def handle(message: StreamMessage[Any]) -> Any:
        arguments: dict[str, Any] = dict.fromkeys(message_names, message)
        # A handler without a body argument reads the message itself.
        if body_name is not None:
            arguments[body_name] = await message.decode()
        for field in others:
            found = Context.use(field, context__=context)
            if field.param_name in found:
                arguments[field.param_name] = found[field.param_name]
        return respond(await call(**cast(arguments)))

    return handle


def _is_message(field: Context) -> bool:
    return f"{field.prefix}{field.name or field.param_name}" == "message"

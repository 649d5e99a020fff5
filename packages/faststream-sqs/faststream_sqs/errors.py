"""Errors, each with its remedy in the docstring."""

from collections.abc import Iterable

from faststream.exceptions import FastStreamException, IgnoredException, SetupError


class QueueMissing(SetupError):
    """An SQS queue does not exist. Create it, correct its name, or use `declare="create"` in development."""

    def __init__(self, queues: Iterable[str]) -> None:
        self.queues = tuple(sorted(set(queues)))
        names = ", ".join(f"`{name}`" for name in self.queues)
        super().__init__(f'the SQS queue does not exist: {names}. Create it, or use declare="create" in development.')


class BusMissing(SetupError):
    """An event bus does not exist. Create it, correct its name, or use `declare="create"` in development.

    PutEvents to a bus that does not exist reports success, so this is checked before anything is published.
    """

    def __init__(self, buses: Iterable[str]) -> None:
        self.buses = tuple(sorted(set(buses)))
        names = ", ".join(f"`{name}`" for name in self.buses)
        super().__init__(f'the event bus does not exist: {names}. Create it, or use declare="create" in development.')


class UnreadableBody(ValueError):
    """A body is not what its content type or encoding says. Retrying cannot help. The message never quotes it."""


class RequestFailed(FastStreamException):
    """AWS rejected one entry of a batch request, or was unreachable until the resends ran out.

    Attributes:
        code: the error code of AWS, or the name of the transport error.
        message: its explanation.
        permanent: whether sending the same entry again cannot help.
    """

    def __init__(self, code: str, message: str, *, permanent: bool = False) -> None:
        self.code = code
        self.message = message
        self.permanent = permanent
        super().__init__(f"{code}: {message}")


class PublishFailed(RequestFailed):
    """A message or an event was not accepted. Publish it again later, or correct it if `permanent` is set."""


class SettleFailed(RequestFailed):
    """A message could not be deleted or released. It is delivered again when its visibility timeout ends."""


class MessageLeaseLost(IgnoredException):
    """Another consumer may have the message already. Stop processing it and leave it to its next delivery."""


class BatchItemFailed(IgnoredException):
    """Raised by a batch handler to retry some messages and acknowledge the rest. What it returns says nothing.

    Args:
        message_ids: the SQS message ids of those that failed.
    """

    def __init__(self, *message_ids: str) -> None:
        self.message_ids = frozenset(message_ids)
        super().__init__(f"{len(self.message_ids)} messages of the batch failed")

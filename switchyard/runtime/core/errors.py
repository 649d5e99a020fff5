"""The two families of failure, and what each does to a message.

A handler raises `RetryableTaskError` when the same message may succeed later, and `PermanentTaskError` when it never
will. Anything else that escapes a handler is a defect: it is retried like `RetryableTaskError` and logged with its
traceback.
"""

from __future__ import annotations

from switchyard.protocol.fields import Json, ModelCall

UNREADABLE = "the log cannot be read: the logs of this process have the error"
"""What readers see when an error is no outage."""


class TaskError(Exception):
    """A failure with a machine-readable `code`, a plain `message`, and, where they exist, the `field` and the `remedy`.
    The text ends in the case's events and in logs, so it never holds payload text: name the field, not its value."""

    def __init__(self, code: str, message: str, field: str | None = None, remedy: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field
        self.remedy = remedy
        self.model_call: ModelCall | None = None
        """What models cost that did not answer: it goes with the failure into the log."""

    @property
    def model_attempts(self) -> tuple[Json, ...]:
        """What the models did, for the next attempt at the task: one that failed now is not asked first then."""
        decision = self.model_call.decision if self.model_call else {}
        attempts = decision.get("attempts")
        return tuple(attempt for attempt in attempts if isinstance(attempt, dict)) if isinstance(attempts, list) else ()

    def __str__(self) -> str:
        where = f" (field {self.field})" if self.field else ""
        fix = f" Remedy: {self.remedy}" if self.remedy else ""
        return f"{self.code}: {self.message}{where}.{fix}"


class RetryableTaskError(TaskError):
    """The attempt failed, the task may not: it is tried again until the graph's attempts are used up."""


class PermanentTaskError(TaskError):
    """The task cannot succeed as it is: it ends now with `TaskFailed`, which names the field and the remedy."""


class InboxLeaseLost(TaskError):
    """Another worker took the task over: the results of this one are discarded by the fencing token."""


class Unavailable(TaskError):
    """A part that the consumer itself needs (its database) is unreachable: no attempt is counted, polling pauses.
    `after_s` says in how many seconds it is worth another look, where that is known."""

    def __init__(
        self,
        code: str,
        message: str,
        field: str | None = None,
        remedy: str | None = None,
        *,
        after_s: float | None = None,
    ) -> None:
        super().__init__(code, message, field, remedy)
        self.after_s = after_s


class TaskPostponed(TaskError):
    """The task has to wait its turn for `after_s` seconds: no attempt is counted, and the worker takes other tasks."""

    def __init__(self, code: str, message: str, *, after_s: float) -> None:
        super().__init__(code, message)
        self.after_s = after_s

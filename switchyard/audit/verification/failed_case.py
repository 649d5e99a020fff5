"""How a failed case failed, as the log has it: what an operator signs to have the task done again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from switchyard.protocol.catalogue import ROUTER, Catalogue
from switchyard.protocol.fields import Json


class NotRetryable(Exception):
    """The case cannot be retried: why, and what to do instead."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class FailedCaseEvents(NamedTuple):
    """How a case failed: four events of the log, each the cause of the next."""

    command: Json
    failed: Json
    close: Json
    ending: Json


def find_failure(events: Sequence[Json], catalogue: Catalogue) -> FailedCaseEvents:
    """The failure that ended a case, from its events in causal order. Raises `NotRetryable`."""
    by_digest = {event["digest"]: event for event in events}

    def cause(event: Json) -> Json:
        found = by_digest.get(event["parents"][0]) if event["parents"] else None
        if found is None:
            remedy = "wait for it, or run `switchyard audit reconcile`"
            raise NotRetryable(f"the log does not have the cause of {event['type']}", remedy)
        return found

    terminal = {type_.name for type_ in catalogue.types if type_.terminal}
    endings = [event for event in events if event["type"] in terminal]
    if not endings:
        raise NotRetryable("the case has not ended: only a failed case can be retried", "wait for its ending")
    ending = max(endings, key=_attempt_number)
    if any(event["type"] == "TaskRetried" and _attempt_number(event) > _attempt_number(ending) for event in events):
        raise NotRetryable("the case is being retried already", "wait for its ending")
    if (outcome := ending["payload"]["outcome"]) != "failed":
        raise NotRetryable(f"the case ended as {outcome}: no task failed", "submit it again")
    close = cause(ending)
    failed = cause(close)
    if close["type"] != "CloseCase" or failed["node_from"] == ROUTER:
        remedy = "deploy the router that can, and submit the case again"
        raise NotRetryable("no task failed: the router could not route an event of the case", remedy)
    return FailedCaseEvents(cause(failed), failed, close, ending)


def _attempt_number(event: Json) -> int:
    """The attempt that an event belongs to, from 0. `seq` does not say: a retry branches off before the ending."""
    return int(str(event.get("attempt") or "retry-0").removeprefix("retry-"))

"""AWS batch requests: coalesced, checked entry by entry, with only failed entries resent."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Generic, TypeAlias, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from .coalescer import Coalescer, CoalescerClosed
from .errors import RequestFailed
from .retry import RetryPolicy

T = TypeVar("T")
R = TypeVar("R")

Results: TypeAlias = Sequence[R | RequestFailed]

MAX_ENTRIES = 10
"""Entries in one request: the limit of SQS and of EventBridge."""

RESEND = RetryPolicy(base=0.1, cap=5.0)
"""Back-off between resends: about 3 s over six attempts, shorter than the shortest sensible lease."""

# Throttling is an HTTP 400, as a rejection is, and is distinguished by its code (botocore, retries/standard.py).
_THROTTLED = frozenset(
    {
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "Throttling",
        "ThrottledException",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)

# Credentials that were rotated or have just expired, and a clock that is off: a later request is signed anew
# (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonErrors.html).
_CREDENTIALS = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "IncompleteSignatureException",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "InvalidToken",
        "RequestExpired",
        "RequestInTheFuture",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
        "UnrecognizedClientException",
    }
)

# Permanent rejections of one entry. AWS marks them with `SenderFault`; LocalStack never sets it.
_REFUSED = frozenset(
    {
        "AWS.SimpleQueueService.MessageNotInflight",
        "InvalidMessageContents",
        "InvalidParameterValue",
        "InvalidParameterValueException",
        "MessageNotInflight",
        "ReceiptHandleIsInvalid",
    }
)


class BatchCall(Generic[T, R]):
    """Sends single entries in batch requests and resends what failed, each with its own jittered back-off.

    An entry in back-off is not in flight, so a throttled entry does not slow the others. A request that is rejected
    as a whole is halved until the rejected entry is alone, so that the other entries get through.

    Args:
        request: sends one batch and returns a result per entry, `RequestFailed` for those that failed.
        failure: the error to raise when an entry fails permanently.
        weigh: the size of an entry in bytes.
        max_weight: maximum bytes in one request.
        max_in_flight: maximum requests in flight.
        attempts: maximum number of times an entry is sent.
        backoff: the delays between attempts.
        sleep: waits for a number of seconds; replaced in tests.
    """

    def __init__(
        self,
        request: Callable[[list[T]], Awaitable[Results[R]]],
        *,
        failure: type[RequestFailed],
        weigh: Callable[[T], int] | None = None,
        max_weight: int | None = None,
        max_in_flight: int = 4,
        attempts: int = 6,
        backoff: RetryPolicy = RESEND,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._request = request
        self._failure = failure
        self._attempts = attempts
        self._backoff = backoff
        self._sleep = sleep
        self._coalescer: Coalescer[T, R] = Coalescer(
            self._send_batch,
            max_items=MAX_ENTRIES,
            max_weight=max_weight,
            weigh=weigh,
            max_in_flight=max_in_flight,
        )

    async def send(self, entry: T) -> R:
        """Send one entry and return its result.

        Raises:
            RequestFailed: of the type `failure`, when the entry was rejected or its attempts ran out.
        """
        attempt = 1
        while True:
            try:
                return await self._coalescer.put(entry)
            except CoalescerClosed as error:
                raise self._failure("BrokerStopped", "the broker stopped before this was sent") from error
            except RequestFailed as error:
                if error.permanent or attempt >= self._attempts:
                    raise self._failure(error.code, error.message, permanent=error.permanent) from error
            await self._sleep(self._backoff.delay(attempt))
            attempt += 1

    async def close(self) -> None:
        """Send pending entries and return when all requests have settled. Later sends fail."""
        await self._coalescer.close()

    async def _send_batch(self, entries: list[T]) -> Results[R]:
        try:
            return await self._request(entries)
        except Exception as error:  # noqa: BLE001 - a proxy's page raises an error of botocore's parser
            failed = from_error(error)
            if failed.permanent and len(entries) > 1:
                middle = len(entries) // 2
                return [*await self._send_batch(entries[:middle]), *await self._send_batch(entries[middle:])]
        return [failed] * len(entries)


def from_error(error: Exception) -> RequestFailed:
    """The failure of a whole request; permanent if it was rejected for what it says.

    Throttling, a failure of the service, an answer that cannot be read, and credentials that have just expired or a
    clock that is off may pass.
    """
    if not isinstance(error, ClientError):
        message = str(error) if isinstance(error, BotoCoreError) else "the answer cannot be read"
        return RequestFailed(type(error).__name__, message)
    code = error.response.get("Error", {}).get("Code", "Unknown")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
    refused = 400 <= status < 500 and status != 429 and code not in _THROTTLED | _CREDENTIALS
    return RequestFailed(code, error.response.get("Error", {}).get("Message", ""), permanent=refused)


def sqs_results(response: Mapping[str, Any], count: int, value: Callable[[Mapping[str, Any]], R]) -> Results[R]:
    """The outcome of each entry of an SQS batch request whose entry ids are the positions "0", "1", ...

    Args:
        response: the response of SQS.
        count: the number of entries sent.
        value: builds the result of an accepted entry.
    """
    results: list[R | RequestFailed] = [RequestFailed("NoResult", "SQS did not report on this entry")] * count
    positions = {str(position): position for position in range(count)}
    for accepted in response.get("Successful") or ():
        if accepted.get("Id") in positions:
            results[positions[accepted["Id"]]] = value(accepted)
    for failed in response.get("Failed") or ():
        if failed.get("Id") not in positions:
            continue
        code = failed.get("Code", "Unknown")
        permanent = code in _REFUSED or (bool(failed.get("SenderFault")) and code not in _THROTTLED)
        results[positions[failed["Id"]]] = RequestFailed(code, failed.get("Message", ""), permanent=permanent)
    return results

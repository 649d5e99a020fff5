"""The AWS clients, and the known queues and buses."""

import asyncio
import json
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

from aiobotocore import __version__ as aiobotocore_version
from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioCredentials
from aiobotocore.session import AioSession, get_session
from botocore.config import Config
from botocore.exceptions import ClientError
from faststream.exceptions import IncorrectState

from .errors import BusMissing, QueueMissing, RequestFailed
from .limits import is_fifo
from .quick_client import ObservedSession, QuickClient

Declare: TypeAlias = Literal["verify", "create"]

# SQS reports a missing queue with its old or its new code, depending on the protocol and the emulator.
_NO_QUEUE = frozenset({"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"})
_NO_BUS = "ResourceNotFoundException"
_BUS_EXISTS = "ResourceAlreadyExistsException"

# Upper bounds only: connections are opened on demand. A long poll holds one for its whole wait.
_POLLING_CONNECTIONS = 1024
_SENDING_CONNECTIONS = 64


@dataclass(frozen=True, slots=True)
class Credentials:
    """Explicit AWS credentials, for emulators and tests; without them the usual chain of AWS applies."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Redrive:
    """A queue's redrive policy: where a message goes that was received too often without being deleted."""

    dead_letter_queue: str
    max_receives: int


class Connection:
    """Three clients, so that no kind of call delays another: polling, sending (and settling), events.

    Args:
        region: the AWS region; None takes it from the environment.
        endpoint_url: the endpoint of AWS; None takes `AWS_ENDPOINT_URL`, and otherwise AWS itself.
        credentials: explicit credentials; None takes the usual chain.
        session: an aiobotocore session to use, for example with an assumed role.
        read_timeout: seconds to wait for an answer that is not a long poll.
        config: settings of botocore, which win over those chosen here.
        objects: whether there is a client for S3, too.
    """

    def __init__(
        self,
        *,
        region: str | None,
        endpoint_url: str | None,
        credentials: Credentials | None,
        session: AioSession | None,
        read_timeout: float = 10.0,
        config: Config | None = None,
        objects: bool = False,
    ) -> None:
        self._session = session
        self._read_timeout = read_timeout
        self._config = config
        self._with_objects = objects
        self._options: dict[str, Any] = {"region_name": region, "endpoint_url": endpoint_url}
        self._explicit = credentials
        if credentials is not None:
            self._options |= {
                "aws_access_key_id": credentials.access_key_id,
                "aws_secret_access_key": credentials.secret_access_key,
                "aws_session_token": credentials.session_token,
            }
        self._stack: AsyncExitStack | None = None
        self._clients: dict[str, Any] = {}
        self._queue_urls: dict[str, asyncio.Task[str]] = {}
        self._buses: set[str] = set()

    @property
    def polling(self) -> Any:
        """The SQS client for ReceiveMessage."""
        return self._client("polling")

    @property
    def sending(self) -> Any:
        """The SQS client for everything else."""
        return self._client("sending")

    @property
    def events(self) -> Any:
        """The EventBridge client."""
        return self._client("events")

    @property
    def objects(self) -> Any:
        """The S3 client."""
        return self._client("objects")

    def _client(self, name: str) -> Any:
        if name not in self._clients:
            raise IncorrectState("the broker is not connected: connect it first")
        return self._clients[name]

    async def open(self) -> None:
        """Create the clients. Sends no request."""
        if self._stack is not None:
            return
        session = self._session or get_session()
        async with AsyncExitStack() as stack:
            # A failed poll is repeated by the poll loop, which also reports it: botocore must not hide it. Batches are
            # resent here entry by entry; botocore's one retry is for what is asked once, such as the URL of a queue.
            polling = _config(_POLLING_CONNECTIONS, attempts=1, read_timeout=20 + self._read_timeout)
            sending = _config(_SENDING_CONNECTIONS, attempts=2, read_timeout=self._read_timeout)
            clients: dict[str, Any] = {}
            for name, service, config in (
                ("polling", "sqs", polling),
                ("sending", "sqs", sending),
                ("events", "events", sending),
                *((("objects", "s3", sending),) if self._with_objects else ()),
            ):
                if self._config is not None:
                    config = config.merge(self._config)  # noqa: PLW2901 - the same, completed
                client = await stack.enter_async_context(session.create_client(service, config=config, **self._options))
                # Read after the client: it has found them, and holds the same.
                clients[name] = client if service == "s3" else QuickClient(client, await self._credentials(session))
            self._clients = clients
            self._stack = stack.pop_all()

    async def _credentials(self, session: AioSession) -> AioCredentials | None:
        """What signs the requests that do not go through botocore; None if none is found."""
        if (given := self._explicit) is not None:
            return AioCredentials(given.access_key_id, given.secret_access_key, given.session_token)
        found: AioCredentials | None = await session.get_credentials()
        return found

    async def close(self) -> None:
        """Close the clients."""
        stack, self._stack = self._stack, None
        self._clients = {}
        self._queue_urls.clear()
        self._buses.clear()
        if stack is not None:
            await stack.aclose()

    async def queue_url(self, queue: str) -> str:
        """The URL of a queue, given its name or URL.

        Raises:
            QueueMissing: the queue does not exist.
        """
        lookup = self._queue_urls.get(queue)
        if lookup is None or (lookup.done() and (lookup.cancelled() or lookup.exception())):
            # One lookup for concurrent callers, so that a burst of publishes stays one batch.
            lookup = self._queue_urls[queue] = asyncio.ensure_future(self._look_up(queue))
        return await asyncio.shield(lookup)

    async def _look_up(self, queue: str) -> str:
        *_, account, name = queue.rsplit("/", 2) if "://" in queue else ("", queue)
        owner = {"QueueOwnerAWSAccountId": account} if account else {}
        try:
            response = await self.sending.get_queue_url(QueueName=name, **owner)
        except ClientError as error:
            if error.response["Error"]["Code"] in _NO_QUEUE:
                raise QueueMissing([queue]) from error
            raise
        url = response.get("QueueUrl")
        if not isinstance(url, str):
            raise RequestFailed("NotAnAnswer", "the answer to GetQueueUrl is not one of SQS")
        return url

    async def require_queues(
        self, queues: Iterable[str], declare: Declare, redrives: Mapping[str, Redrive] = MappingProxyType({})
    ) -> None:
        """Check that all `queues` exist; with `declare="create"`, create missing ones.

        Args:
            queues: names or URLs.
            declare: whether to create.
            redrives: the redrive policies of queues that are created; an existing queue keeps its own.

        Raises:
            QueueMissing: names all that do not exist.
        """
        missing: set[str] = set()
        for result in await asyncio.gather(*map(self.queue_url, set(queues)), return_exceptions=True):
            if isinstance(result, QueueMissing):
                missing.update(result.queues)
            elif isinstance(result, BaseException):
                raise result
        if missing and declare == "verify":
            raise QueueMissing(missing)
        # First the dead-letter queues, because a redrive policy names one.
        for queue in sorted(missing, key=lambda name: name in redrives):
            attributes: dict[str, str] = {}
            if redrive := redrives.get(queue):
                policy = {
                    "deadLetterTargetArn": await self._arn(redrive.dead_letter_queue),
                    "maxReceiveCount": redrive.max_receives,
                }
                attributes["RedrivePolicy"] = json.dumps(policy)
            await self.create_queue(queue, attributes)

    async def create_queue(self, queue: str, attributes: Mapping[str, str]) -> None:
        """Create a queue, a FIFO queue if its name ends in `.fifo`."""
        fifo = {"FifoQueue": "true"} if is_fifo(queue) else {}
        await self.sending.create_queue(QueueName=queue, Attributes={**attributes, **fifo})

    async def _arn(self, queue: str) -> str:
        answer = await self.sending.get_queue_attributes(
            QueueUrl=await self.queue_url(queue), AttributeNames=["QueueArn"]
        )
        arn: str = answer["Attributes"]["QueueArn"]
        return arn

    async def require_buses(self, buses: Iterable[str], declare: Declare) -> None:
        """Check that all event buses exist; with `declare="create"`, create missing ones.

        Raises:
            BusMissing: names all that do not exist.
        """
        wanted = set(buses)
        missing: set[str] = set()
        for bus in wanted:
            try:
                await self.events.describe_event_bus(Name=bus)
            except ClientError as error:
                if error.response["Error"]["Code"] != _NO_BUS:
                    raise
                missing.add(bus)
        if missing and declare == "verify":
            raise BusMissing(missing)
        for bus in missing:
            try:
                await self.events.create_event_bus(Name=bus)
            except ClientError as error:
                if error.response["Error"]["Code"] != _BUS_EXISTS:  # another process was faster
                    raise
        self._buses |= wanted

    async def bus(self, bus: str) -> str:
        """The bus, once it is known to exist: checked at `start`, or now if it was declared later.

        Raises:
            BusMissing: the bus does not exist.
        """
        if bus not in self._buses:
            await self.require_buses([bus], "verify")
        return bus


def _config(connections: int, *, attempts: int, read_timeout: float) -> AioConfig:
    return AioConfig(
        max_pool_connections=connections,
        connect_timeout=5,
        read_timeout=read_timeout,
        retries={"mode": "standard", "total_max_attempts": attempts},
        tcp_keepalive=True,
        # The parameters are built here and covered by tests; checking them again costs a twentieth of every request,
        # and composing the full user agent a tenth.
        parameter_validation=False,
        http_session_cls=ObservedSession,
        user_agent=f"faststream-sqs aiobotocore/{aiobotocore_version}",
    )

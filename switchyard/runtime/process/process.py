"""One process, from its settings to a clean stop. Every service's `main.py` is written with this."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from types import TracebackType
from typing import Any, Self

import structlog
from aiobotocore.config import AioConfig
from pydantic import SecretStr

from faststream_sqs import MessageLeaseLost, RetryPolicy, SQSBroker, SQSMessage
from switchyard.protocol.catalogue import Catalogue
from switchyard.protocol.topology import dead_letter_queue_name, queue_name
from switchyard.runtime.core import telemetry
from switchyard.runtime.core.aws import create_aws_client, open_aws_session
from switchyard.runtime.core.clock import Clock
from switchyard.runtime.core.collector import resume_collector
from switchyard.runtime.core.logs import BrokerLog, configure_logs
from switchyard.runtime.core.periodic import run_periodically
from switchyard.runtime.core.settings import ProcessSettings, WorkSettings
from switchyard.runtime.crypto.vault import KeyWrapper, KmsKeyWrapper, LocalKeyWrapper
from switchyard.runtime.database.circuit_breaker import DatabaseCircuitBreaker
from switchyard.runtime.database.connections import Pool, connect_pool
from switchyard.runtime.database.login import DatabaseLogin, IamLogin, PasswordLogin, rds_token_source
from switchyard.runtime.messaging.dead_letters import REDRIVES_ATTRIBUTE
from switchyard.runtime.messaging.outbox import RELAY_INTERVAL_S, Outbox
from switchyard.runtime.messaging.publisher import BusPublisher
from switchyard.runtime.messaging.quarantine import ObjectQuarantine
from switchyard.runtime.messaging.rollout import Rollout
from switchyard.runtime.process.web import HealthCheck, Readiness, WebServer, build_health_app
from switchyard.runtime.storage.objects import ObjectsOnDemand, ObjectStore, S3Objects

log = structlog.get_logger(__name__)
RUN_AGAIN_S = 1.0
MessageHandler = Callable[[SQSMessage], Awaitable[None]]


class ServiceProcess:
    """The parts that a process is composed of; leaving it closes them in reverse order.

    `async with ServiceProcess(CATALOGUE, "my_agent", settings) as process:` gives clients, broker and health; `run()`
    serves until SIGTERM or SIGINT and then drains.
    """

    def __init__(
        self, catalogue: Catalogue, node: str, settings: ProcessSettings, *, clock: Clock | None = None
    ) -> None:
        self.catalogue = catalogue
        self.node = node
        self.settings = settings
        self.clock = clock or settings.clock()
        self._session = open_aws_session()
        self.broker = SQSBroker(
            region=settings.region,
            endpoint_url=settings.endpoint_url,
            session=self._session,
            graceful_timeout=settings.drain_s,
            middlewares=telemetry.broker_middlewares(otlp_endpoint=settings.otlp_endpoint),
            logger=BrokerLog(),
        )
        self.rollout = Rollout(self.clock, grace_s=settings.deploy_grace_s)
        self.publisher = BusPublisher(self.broker.event_publisher(bus=settings.bus))
        self._checks: dict[str, HealthCheck] = {}
        self._stack = AsyncExitStack()
        self._background: list[Callable[[], Awaitable[None]]] = []

    async def __aenter__(self) -> Self:
        configure_logs(self.node, self.settings.log_level)
        self.settings.log_unknown_variables()
        telemetry.configure_telemetry(
            self.node, otlp_endpoint=self.settings.otlp_endpoint, code_version=self.settings.code_version
        )
        self._stack.callback(telemetry.shutdown_telemetry)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def login(self) -> DatabaseLogin:
        """How this process logs in to its databases."""
        if self.settings.db_auth == "password":
            return PasswordLogin()
        return IamLogin(rds_token_source(self._session, region=self.settings.region), ca_file=self.settings.db_ca_file)

    async def connect(
        self, url: SecretStr, *, schema: str, size: int = 4, server_settings: Mapping[str, str] | None = None
    ) -> Pool:
        """A pool of this process's own, closed with it."""
        pool = await connect_pool(
            url.get_secret_value(), schema=schema, size=size, login=self.login(), server_settings=server_settings
        )
        await self.on_exit(pool.close)
        return pool

    async def client(
        self,
        service: str,
        *,
        region: str | None = None,
        endpoint_url: str | None = None,
        config: AioConfig | None = None,
        **credentials: str | None,
    ) -> Any:
        """An aiobotocore client of this process, closed with it; by default at the usual endpoint and region, with the
        credentials that the AWS SDK finds."""
        made = self._client(service, region=region, endpoint_url=endpoint_url, config=config, **credentials)
        return await self._stack.enter_async_context(made)

    def _client(
        self,
        service: str,
        *,
        region: str | None = None,
        endpoint_url: str | None = None,
        config: AioConfig | None = None,
        **credentials: str | None,
    ) -> Any:
        return create_aws_client(
            self._session,
            service,
            region=region or self.settings.region,
            endpoint_url=endpoint_url or self.settings.endpoint_url,
            config=config,
            **credentials,
        )

    async def objects(self, bucket: str) -> ObjectStore:
        """The bucket for large artefacts and quarantine, whose client is made when it is first used."""
        closing = await self._stack.enter_async_context(AsyncExitStack())

        async def open_bucket() -> ObjectStore:
            return S3Objects(await closing.enter_async_context(self._client("s3")), bucket)

        return ObjectsOnDemand(open_bucket)

    async def quarantine(self, objects: ObjectStore, *, keep_bytes: bool = True) -> ObjectQuarantine:
        """This node's quarantine; see `ObjectQuarantine` for `keep_bytes`."""
        return ObjectQuarantine(objects, self.catalogue, node=self.node, clock=self.clock, keep_bytes=keep_bytes)

    async def key_wrapper(self, settings: WorkSettings) -> KeyWrapper:
        """What wraps people's keys: KMS if a key is named, else the local key. Raises `ValueError` if neither is."""
        if settings.kms_key_id is not None:
            return KmsKeyWrapper(await self.client("kms"), settings.kms_key_id)
        if settings.vault_key is None:
            raise ValueError("set SWITCHYARD_KMS_KEY_ID, or SWITCHYARD_VAULT_KEY in the local stack")
        return LocalKeyWrapper(settings.vault_key)

    async def on_exit(self, close: Callable[[], Awaitable[None]]) -> None:
        """Close something with the process."""
        self._stack.push_async_callback(close)

    def check(self, name: str, check: HealthCheck) -> None:
        """Add a readiness check."""
        self._checks[name] = check

    def run_in_background(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Run this beside the consumers until the process stops; again, with an alarm and after a pause, when it
        fails."""
        self._background.append(partial(run_periodically, name, run, every_s=RUN_AGAIN_S))

    def subscribe(
        self,
        handler: MessageHandler,
        *,
        breaker: DatabaseCircuitBreaker | None = None,
        dead_letters: MessageHandler | None = None,
    ) -> None:
        """Consume this node's queue, and its dead-letter queue with a concurrency of 1."""
        self.subscribe_lane(None, handler, breaker=breaker)
        if dead_letters is not None:
            dlq = dead_letter_queue_name(self.node)
            self._subscribe(dlq, dead_letters, breaker, dead_letter_queue=None, concurrency=1)

    def subscribe_lane(
        self,
        lane: str | None,
        handler: MessageHandler,
        *,
        breaker: DatabaseCircuitBreaker | None = None,
        concurrency: int | None = None,
        pollers: int = 1,
    ) -> None:
        """Consume one of this node's queues: a lane of its own, or without a name the first one."""
        self._subscribe(
            queue_name(self.node, lane),
            handler,
            breaker,
            dead_letter_queue=dead_letter_queue_name(self.node),
            concurrency=concurrency or self.settings.concurrency,
            pollers=pollers,
        )

    def run_periodically(
        self,
        name: str,
        tick: Callable[[], Awaitable[object]],
        breaker: DatabaseCircuitBreaker | None,
        *,
        every_s: float,
        wake: asyncio.Event | None = None,
    ) -> None:
        """Tick beside the consumers until the process stops, even if a tick raises; at once when `wake` is set. With a
        database's breaker it pauses while that is away."""
        self._background.append(partial(run_periodically, name, tick, breaker, every_s=every_s, wake=wake))

    async def open_outbox(self, pool: Pool, breaker: DatabaseCircuitBreaker) -> Outbox:
        """The outbox of the schema that `pool` works in, relayed until the process stops."""
        outbox = Outbox(pool, self.publisher)
        self.run_periodically("outbox", outbox.tick, breaker, every_s=RELAY_INTERVAL_S)
        await self.on_exit(outbox.close)
        return outbox

    async def redrive(self, body: str, *, redrives: int, lane: str | None = None) -> None:
        """Put a dead letter back on this node's queue, or on one of its lanes."""
        headers = {REDRIVES_ATTRIBUTE: str(redrives)}
        await self.broker.publish(body, queue=queue_name(self.node, lane), headers=headers)

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then drain: what is in hand is finished, what is not started is released."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, stop.set)
        readiness = Readiness(self._checks)
        self.run_in_background("readiness", readiness.watch)
        health = WebServer(build_health_app(readiness), self.settings.health_host, self.settings.health_port)
        self._stack.push_async_callback(health.stop)
        await self.broker.start()
        resume_collector()
        log.info("process.ready", health_port=health.port)
        tasks = [asyncio.ensure_future(run()) for run in self._background]
        stopping = asyncio.create_task(stop.wait())
        try:
            done, _ = await asyncio.wait([*tasks, stopping], return_when=asyncio.FIRST_COMPLETED)
            log.info("process.stopping")
        finally:
            for task in (*tasks, stopping):
                task.cancel()
            await asyncio.gather(*tasks, stopping, return_exceptions=True)
            await self.broker.stop()
        for task in done - {stopping}:
            task.result()

    def _subscribe(
        self,
        queue: str,
        handler: MessageHandler,
        breaker: DatabaseCircuitBreaker | None,
        *,
        dead_letter_queue: str | None,
        concurrency: int,
        pollers: int = 1,
    ) -> None:
        async def handle(message: SQSMessage) -> None:
            try:
                await handler(message)
            except MessageLeaseLost:
                raise  # ordinary: the message is in other hands
            except Exception:
                # The broker delivers it again; here it is said with what is known of the message.
                log.exception("message.failed", queue=queue, receives=message.receive_count)
                raise

        subscriber = self.broker.subscriber(
            queue,
            dead_letter_queue=dead_letter_queue,
            concurrency=concurrency,
            pollers=pollers,
            wait_time=self.settings.poll_wait_s,
            visibility_timeout=self.settings.visibility_s,
            retry=RetryPolicy(base=self.settings.retry_base_s, cap=60.0),
            decoder=skip_decoding,
        )
        subscriber(handle)
        self.check(queue, lambda: subscriber.healthy)
        if breaker is not None:
            breaker.watch_subscriber(subscriber)


async def skip_decoding(message: Any) -> None:
    """A decoder for our subscribers: FastStream decodes every body before it calls, and ours are read strictly, once,
    by the contracts."""

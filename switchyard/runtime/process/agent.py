"""One agent's process: its database, model, bundle and consumer. Every agent's `main.py` is written with this."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, Self

from switchyard.protocol.bundles import AgentBundle, as_content
from switchyard.protocol.catalogue import Catalogue
from switchyard.runtime.core.settings import WorkSettings
from switchyard.runtime.crypto.vault import Vault
from switchyard.runtime.database.circuit_breaker import DatabaseCircuitBreaker
from switchyard.runtime.database.connections import Pool
from switchyard.runtime.messaging.consumer import TaskConsumer
from switchyard.runtime.messaging.dead_letters import DeadLetters
from switchyard.runtime.messaging.inbox import Inbox
from switchyard.runtime.messaging.observer import Choose, EventObserver
from switchyard.runtime.messaging.outbox import Outbox
from switchyard.runtime.process.process import ServiceProcess
from switchyard.runtime.process.stored_bundle import store_bundle
from switchyard.runtime.storage.artefacts import Artefacts

if TYPE_CHECKING:
    from switchyard.runtime.models.clients import MeteredModel


class ServedCard(Protocol):
    """What a process needs of its agent's card."""

    @property
    def name(self) -> str:
        """The node."""

    @property
    def decrypts(self) -> tuple[str, ...]:
        """Names of the sealed artefacts that it may open."""

    def model_dump(self) -> dict[str, Any]:
        """The whole card."""


class AgentProcess(ServiceProcess):
    """A process with its agent's own schema of the work database, and the bundle of what configures the agent."""

    pool: Pool
    breaker: DatabaseCircuitBreaker
    outbox: Outbox

    def __init__(self, catalogue: Catalogue, card: ServedCard, settings: WorkSettings) -> None:
        super().__init__(catalogue, card.name, settings)
        self._card, self._work_settings = card, settings
        self._model: MeteredModel | None = None
        self._prompts: dict[str, str] = {}
        self._bundled: dict[str, Any] = {}

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        try:
            self.pool = await self.connect(self._work_settings.work_db_url, schema=self.node)
            self.breaker = DatabaseCircuitBreaker(self.pool)
            await self.on_exit(self.breaker.close)
            self.outbox = await self.open_outbox(self.pool, self.breaker)
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def connect_model(self, model: MeteredModel) -> None:
        """Reserve this agent's model calls in the money ledger; begin with the latencies that earlier processes
        learned, and keep what this one learns."""
        # An agent without a model has no pydantic-ai installed.
        from switchyard.runtime.budget.ledger import MoneyLedger
        from switchyard.runtime.models.latency_snapshots import SNAPSHOT_INTERVAL_S, LatencySnapshots

        model.ledger = MoneyLedger(self.pool, model.prices, model.quotas)
        warm = LatencySnapshots(self.pool, model, self.clock)
        await warm.load()
        self.run_periodically("latency", warm.save, None, every_s=SNAPSHOT_INTERVAL_S)
        await self.on_exit(warm.save)
        self._model = model

    def configure(self, *, prompts: Mapping[str, str] | None = None, **settings: Any) -> None:
        """Name what this agent is configured with, for its bundle: its prompts, and settings that decide, such as rule
        packs. Its card, models and code are in the bundle anyway."""
        self._prompts |= prompts or {}
        self._bundled |= settings

    @property
    def bundle(self) -> AgentBundle:
        """The agent's configuration until now. Raises `RuntimeError` for a model without a prompt: the log could not
        say what the model was asked."""
        if self._model is not None and not self._prompts:
            raise RuntimeError(f"{self.node} asks a model: call process.configure(prompts=...) with its prompts")
        return AgentBundle(
            agent=self.node,
            code=self.settings.code_version,
            card=as_content(self._card.model_dump()),
            prompts=dict(self._prompts),
            models=None if self._model is None else as_content(self._model.configuration()),
            settings=as_content(self._bundled),
        )


async def serve_agent(
    catalogue: Catalogue,
    card: ServedCard,
    settings: WorkSettings,
    build: Callable[[AgentProcess, Artefacts], Awaitable[dict[type[Any], Any]]],
    *,
    choose: Choose | None = None,
) -> None:
    """Serve one agent: `build` makes its handlers, with their dependencies bound. An observer has `choose`, and its
    dead letters wait for a person."""
    async with AgentProcess(catalogue, card, settings) as process:
        objects = await process.objects(settings.objects_bucket)
        vault = Vault(process.pool, await process.key_wrapper(settings), process.clock)
        inbox = Inbox(process.pool, lease_s=settings.visibility_s)
        await process.on_exit(inbox.close)
        breaker = process.breaker
        handlers = await build(process, Artefacts(objects, vault, decrypts=card.decrypts))
        bundle = process.bundle
        process.run_in_background("bundle", partial(store_bundle, objects, bundle))
        consumer = (TaskConsumer if choose is None else partial(EventObserver, choose=choose))(
            catalogue,
            card.name,
            handlers,
            inbox=inbox,
            publisher=process.outbox,
            quarantine=await process.quarantine(objects),
            breaker=breaker,
            rollout=process.rollout,
            clock=process.clock,
            bundle=bundle.digest,
        )
        process.check("database", lambda: breaker.available)
        drain = DeadLetters(consumer, inbox, process.redrive) if choose is None else None
        process.subscribe(consumer, breaker=breaker, dead_letters=drain)
        await process.run()

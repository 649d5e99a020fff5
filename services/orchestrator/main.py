"""Composition roots of the router and the desk."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from contracts.catalogue import DESK, ROUTER
from services.orchestrator.handlers import keep_desk, redrive_desk, route_event
from services.orchestrator.settings import DeskSettings, RouterSettings
from switchyard.case_manager import retry
from switchyard.case_manager.approvals import Approvals
from switchyard.case_manager.control import Control
from switchyard.case_manager.intake import Intake
from switchyard.case_manager.keyed_hash import Mac
from switchyard.case_manager.lifecycle import Closing
from switchyard.case_manager.openings import Openings
from switchyard.case_manager.pending_commands import Holding
from switchyard.case_manager.retry import Reopening
from switchyard.case_manager.store import DeskStore
from switchyard.case_manager.timers import TICK_S, Timers
from switchyard.router.state_seal import StateSeal
from switchyard.runtime.core.repeat import repeat
from switchyard.runtime.crypto.vault import Vault
from switchyard.runtime.database.circuit_breaker import DatabaseGate
from switchyard.runtime.process.process import Process
from switchyard.runtime.storage.artefacts import Artefacts


async def run_router() -> None:
    """Serve the router."""
    settings = RouterSettings()
    async with Process(ROUTER, settings) as process:
        quarantine = await process.quarantine(await process.objects(settings.objects_bucket))
        publisher, clock, seal = process.publisher, process.clock, StateSeal(settings.keys())
        routed = partial(
            route_event,
            seal=seal,
            operators=settings.signers(),
            publisher=publisher,
            quarantine=quarantine,
            clock=clock,
        )
        process.subscribe(partial(routed, rollout=process.rollout), dead_letters=routed)
        await process.run()


async def run_desk() -> None:
    """Serve the desk."""
    settings = DeskSettings()
    async with Process(DESK, settings) as process:
        pool = await process.connect(settings.database_url, schema=DESK)
        objects = await process.objects(settings.objects_bucket)
        vault = Vault(pool, await process.wrapper(settings), process.clock)
        store = DeskStore(pool)
        await process.on_exit(store.close_store)
        gate = DatabaseGate(pool)
        await process.on_exit(gate.close)
        closing = Closing(store, process.clock)
        mac = Mac(bytes.fromhex(settings.mac_key.get_secret_value()))
        openings = Openings(
            vault=vault,
            artefacts=Artefacts(objects, vault, opens=()),
            clock=process.clock,
            mac=mac,
            deadline=timedelta(seconds=settings.case_deadline_s),
            email_deadline=timedelta(seconds=settings.email_deadline_s),
        )
        principals = settings.principals()
        intake = Intake(
            store=store,
            openings=openings,
            clock=process.clock,
            mac=mac,
            upstreams=settings.upstreams,
            principals=principals,
        )
        holding = Holding(pool, process.clock)
        approvals = Approvals(holding, settings.known_approvers(), timedelta(seconds=settings.approval_valid_s))
        control = Control(pool, closing, process.clock, mac, settings.upstreams, principals)
        quarantine = await process.quarantine(objects)
        process.check("database", lambda: gate.open)
        process.subscribe(
            partial(
                keep_desk,
                intake=intake,
                closing=closing,
                holding=holding,
                approvals=approvals,
                control=control,
                publisher=process.publisher,
                quarantine=quarantine,
                gate=gate,
                rollout=process.rollout,
            ),
            gate=gate,
            dead_letters=partial(
                redrive_desk,
                redrive=process.redrive,
                intake=intake,
                publisher=process.publisher,
                quarantine=quarantine,
                gate=gate,
            ),
        )
        timers = Timers(store, closing, holding, approvals, control, process.publisher, process.clock)
        reopening = Reopening(pool, vault, settings.signers(), process.publisher, process.clock)
        process.alongside(partial(repeat, "timers", timers.tick, gate, every_s=TICK_S))
        process.alongside(partial(repeat, "retries", reopening.tick, gate, every_s=retry.EVERY_S))
        process.republish(pool, gate)
        await process.run()

"""Composition roots of the router and the case manager."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import partial

from switchyard.case_manager import retry
from switchyard.case_manager.approvals import ApprovalService
from switchyard.case_manager.control import OperatorControl
from switchyard.case_manager.intake import CaseIntake
from switchyard.case_manager.keyed_hash import KeyedHash
from switchyard.case_manager.lifecycle import CaseCloser
from switchyard.case_manager.openings import CaseOpener
from switchyard.case_manager.pending_commands import PendingCommands
from switchyard.case_manager.retry import CaseRetrier
from switchyard.case_manager.store import CaseStore
from switchyard.case_manager.timers import TIMER_INTERVAL_S, Timers
from switchyard.processes.handlers import handle_case_manager_dead_letter, handle_case_manager_event, route_event
from switchyard.processes.settings import CaseManagerSettings, RouterSettings
from switchyard.protocol.catalogue import CASE_MANAGER, ROUTER, Catalogue
from switchyard.protocol.submissions import Submissions
from switchyard.router.playbook import RoutingTable
from switchyard.router.state_seal import StateSeal
from switchyard.runtime.core.repeat import run_periodically
from switchyard.runtime.crypto.vault import Vault
from switchyard.runtime.database.circuit_breaker import DatabaseCircuitBreaker
from switchyard.runtime.process.process import ServiceProcess
from switchyard.runtime.storage.artefacts import Artefacts


async def run_router(table: RoutingTable) -> None:
    """Serve the router."""
    settings = RouterSettings()
    async with ServiceProcess(table.catalogue, ROUTER, settings) as process:
        quarantine = await process.quarantine(await process.objects(settings.objects_bucket))
        publisher, clock, seal = process.publisher, process.clock, StateSeal(settings.keys())
        routed = partial(
            route_event,
            seal=seal,
            table=table,
            operators=settings.operator_keys(),
            publisher=publisher,
            quarantine=quarantine,
            clock=clock,
        )
        process.subscribe(partial(routed, rollout=process.rollout), dead_letters=routed)
        await process.run()


async def run_case_manager(catalogue: Catalogue, submissions: Submissions, current: Mapping[str, str]) -> None:
    """Serve the case manager."""
    settings = CaseManagerSettings()
    async with ServiceProcess(catalogue, CASE_MANAGER, settings) as process:
        pool = await process.connect(settings.work_db_url, schema=CASE_MANAGER)
        objects = await process.objects(settings.objects_bucket)
        vault = Vault(pool, await process.key_wrapper(settings), process.clock)
        store = CaseStore(pool)
        await process.on_exit(store.close_store)
        gate = DatabaseCircuitBreaker(pool)
        await process.on_exit(gate.close)
        closing = CaseCloser(store, process.clock, catalogue)
        mac = KeyedHash(bytes.fromhex(settings.mac_key.get_secret_value()))
        openings = CaseOpener(
            catalogue=catalogue,
            vault=vault,
            artefacts=Artefacts(objects, vault, decrypts=()),
            clock=process.clock,
            mac=mac,
            deadline=timedelta(seconds=settings.case_deadline_s),
            current=dict(current),
        )
        principals = settings.principals()
        intake = CaseIntake(
            submissions=submissions,
            store=store,
            openings=openings,
            clock=process.clock,
            mac=mac,
            upstreams=settings.upstreams,
            principals=principals,
        )
        holding = PendingCommands(pool, process.clock, catalogue)
        approvals = ApprovalService(holding, settings.approver_keys(), timedelta(seconds=settings.approval_valid_s))
        control = OperatorControl(pool, closing, process.clock, mac, settings.upstreams, principals)
        quarantine = await process.quarantine(objects)
        process.check("database", lambda: gate.open)
        process.subscribe(
            partial(
                handle_case_manager_event,
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
                handle_case_manager_dead_letter,
                redrive=process.redrive,
                intake=intake,
                publisher=process.publisher,
                quarantine=quarantine,
                gate=gate,
            ),
        )
        timers = Timers(store, closing, holding, approvals, control, process.publisher, process.clock)
        reopening = CaseRetrier(pool, vault, settings.operator_keys(), process.publisher, process.clock, catalogue)
        process.run_in_background(partial(run_periodically, "timers", timers.tick, gate, every_s=TIMER_INTERVAL_S))
        process.run_in_background(
            partial(run_periodically, "retries", reopening.tick, gate, every_s=retry.RETRY_POLL_S)
        )
        process.republish(pool, gate)
        await process.run()

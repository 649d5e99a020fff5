"""Composition root of the case manager."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from switchyard.case_manager.approvals import ApprovalService
from switchyard.case_manager.arrivals import INTAKE_POLL_S, INTAKE_WORKERS, ArrivalQueue, ArrivalTable, BacklogLimits
from switchyard.case_manager.budgets import BUDGET_INTERVAL_S, BudgetReports
from switchyard.case_manager.consents import ConsentWaits
from switchyard.case_manager.dispatch import CaseManager
from switchyard.case_manager.feedback import FeedbackIntake
from switchyard.case_manager.forgetting import ForgettingIntake
from switchyard.case_manager.gathers import Gathers
from switchyard.case_manager.intake import CaseIntake
from switchyard.case_manager.keyed_hash import KeyedHash
from switchyard.case_manager.lifecycle import CaseCloser
from switchyard.case_manager.openings import CaseOpener
from switchyard.case_manager.operator_commands import OperatorCommands
from switchyard.case_manager.pending_commands import PendingCommands
from switchyard.case_manager.principals import PrincipalKeys
from switchyard.case_manager.rejections import REPORT_INTERVAL_S, RejectionReports
from switchyard.case_manager.retry import RETRY_POLL_S, CaseRetrier
from switchyard.case_manager.sessions import TurnRules
from switchyard.case_manager.store import CaseStore
from switchyard.case_manager.suppression import SuppressionList
from switchyard.case_manager.timers import TIMER_INTERVAL_S, Timers
from switchyard.processes.case_manager_settings import CaseManagerSettings
from switchyard.protocol.catalogue import CASE_MANAGER, Catalogue
from switchyard.protocol.submissions import Submissions, TurnPolicy
from switchyard.protocol.topology import SUBMISSIONS, SUPPRESSIONS
from switchyard.runtime.crypto.vault import Vault
from switchyard.runtime.database.circuit_breaker import DatabaseCircuitBreaker
from switchyard.runtime.database.connections import Database
from switchyard.runtime.process.process import ServiceProcess
from switchyard.runtime.storage.artefacts import Artefacts

RECEIVED_AT_ONCE, SUBMISSION_POLLERS = 200, 3
"""Submissions in hand at once, and polls for them, per lane. Each is only stored for its turn, so a flood leaves its
queue as fast as SQS hands it out."""


async def run_case_manager(
    catalogue: Catalogue,
    submissions: Submissions,
    current: Mapping[str, str],
    turns: Mapping[str, TurnPolicy],
    suppression_sources: frozenset[str],
) -> None:
    """Serve the case manager."""
    settings = CaseManagerSettings()
    async with ServiceProcess(catalogue, CASE_MANAGER, settings) as process:
        pool = await process.connect(settings.work_db_url, schema=CASE_MANAGER)
        objects = await process.objects(settings.objects_bucket)
        # A flood of submissions may use up the connections of its own pool only.
        intake_pool = await process.connect(settings.work_db_url, schema=CASE_MANAGER)
        wrapper = await process.key_wrapper(settings)
        vault = Vault(pool, wrapper, process.clock, use="intake")
        store, intake_store = CaseStore(pool), CaseStore(intake_pool)
        await process.on_exit(store.close_store)
        await process.on_exit(intake_store.close_store)
        breaker = DatabaseCircuitBreaker(pool)
        await process.on_exit(breaker.close)
        closing = CaseCloser(store, process.clock, catalogue)
        mac = KeyedHash(settings.mac_key)
        openings = CaseOpener(
            catalogue=catalogue,
            vault=(intake_vault := Vault(intake_pool, wrapper, process.clock, use="intake")),
            artefacts=Artefacts(objects, intake_vault, decrypts=()),
            clock=process.clock,
            mac=mac,
            persons=KeyedHash(settings.person_key),
            deadline=timedelta(seconds=settings.case_deadline_s),
            current=dict(current),
            memory_tenants=settings.memory_tenants,
        )
        principals = PrincipalKeys(settings.principal_keys)
        intake = CaseIntake(
            submissions=submissions,
            store=intake_store,
            openings=openings,
            clock=process.clock,
            mac=mac,
            upstreams=settings.upstreams,
            principals=principals,
            turns=TurnRules(turns, settings.session_queue),
        )
        database = Database(pool, "the work database")
        outbox = await process.open_outbox(pool, breaker)
        table = ArrivalTable(
            Database(intake_pool, "the work database"),
            settings.mac_key,
            BacklogLimits(settings.intake_tenant_backlog, settings.intake_source_backlog),
            settings.upstreams,
        )
        await process.on_exit(table.close)
        arrivals = ArrivalQueue(table, intake, outbox)
        pending = PendingCommands(database, process.clock, catalogue)
        valid_for = timedelta(seconds=settings.approval_valid_s)
        approvals = ApprovalService(pending, settings.approver_keys(), settings.four_eyes(), valid_for)
        consents = ConsentWaits(pending, principals, settings.consent_url)
        gathers = Gathers(database, process.clock, catalogue, objects)
        manager = CaseManager(
            arrivals=arrivals,
            closing=closing,
            pending=pending,
            approvals=approvals,
            consents=consents,
            gathers=gathers,
            suppression=SuppressionList(
                database, catalogue, process.clock, mac, settings.upstreams, principals, suppression_sources
            ),
            feedback=FeedbackIntake(
                database,
                catalogue,
                process.clock,
                mac,
                openings.persons,
                principals,
                vault,
                Artefacts(objects, Vault(pool, wrapper, process.clock, use="review"), decrypts=()),
            ),
            forgetting=ForgettingIntake(database, process.clock, openings.persons, principals.signers, vault),
            publisher=outbox,
            quarantine=await process.quarantine(objects),
            breaker=breaker,
            redrive=process.redrive,
            rollout=process.rollout,
        )
        process.check("database", lambda: breaker.available)
        process.subscribe(manager.handle, breaker=breaker, dead_letters=manager.handle_dead_letter)
        for lane in SUBMISSIONS:
            process.subscribe_lane(
                lane, manager.handle, breaker=breaker, concurrency=RECEIVED_AT_ONCE, pollers=SUBMISSION_POLLERS
            )
        process.subscribe_lane(SUPPRESSIONS, manager.handle, breaker=breaker)
        for number in range(INTAKE_WORKERS):
            name = f"intake-{number + 1}"
            process.run_periodically(name, arrivals.tick, breaker, every_s=INTAKE_POLL_S, wake=arrivals.arrived)
        reports = RejectionReports(
            store, catalogue, process.clock, outbox, timedelta(days=settings.rejection_keep_days)
        )
        process.run_periodically("rejections", reports.tick, breaker, every_s=REPORT_INTERVAL_S)
        budgets = BudgetReports(database, catalogue, process.clock, outbox)
        process.run_periodically("budgets", budgets.tick, breaker, every_s=BUDGET_INTERVAL_S)
        operators = settings.operator_keys()
        commands = OperatorCommands(database, catalogue, operators, process.clock)
        timers = Timers(database, process.clock, closing, pending, approvals, consents, gathers, commands, outbox)
        process.run_periodically("timers", timers.tick, breaker, every_s=TIMER_INTERVAL_S)
        retrier = CaseRetrier(database, vault, operators, outbox, process.clock, catalogue)
        process.run_periodically("retries", retrier.tick, breaker, every_s=RETRY_POLL_S)
        await process.run()

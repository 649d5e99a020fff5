"""Composition root of the router."""

from __future__ import annotations

from functools import partial

from switchyard.processes.handlers import route_event
from switchyard.processes.router_settings import RouterSettings
from switchyard.protocol.catalogue import ROUTER
from switchyard.router.playbook import RoutingTable
from switchyard.router.state_seal import StateSeal
from switchyard.runtime.process.process import ServiceProcess


async def run_router(table: RoutingTable) -> None:
    """Serve the router."""
    settings = RouterSettings()
    async with ServiceProcess(table.catalogue, ROUTER, settings) as process:
        quarantine = await process.quarantine(await process.objects(settings.objects_bucket))
        publisher, clock, seal = process.publisher, process.clock, StateSeal(settings.state_keys)
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

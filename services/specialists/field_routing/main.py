"""Composition root of the field routing specialist."""

from __future__ import annotations

from functools import partial

import aiohttp

from contracts.cards import FIELD_ROUTING_CARD
from contracts.catalogue import CATALOGUE
from contracts.events.router import AnswerQuestion
from services.models import build_agent_model
from services.specialists.field_routing.agent import ROUTE_PROMPT, build_routing_agent
from services.specialists.field_routing.handlers import Planner, answer_question
from services.specialists.field_routing.problem import Lunch, Rates
from services.specialists.field_routing.settings import FieldRoutingSettings
from services.specialists.field_routing.solver_process import solve_in_process
from services.specialists.field_routing.travel import GreatCircleTravel, RoadMatrixTravel, TravelMatrix
from services.specialists.field_routing.work_orders import WorkOrderService
from switchyard.identity.client_settings import open_identity_client
from switchyard.protocol.fields import Contract
from switchyard.runtime.core.task import TaskHandler
from switchyard.runtime.models.clients import ModelSettings
from switchyard.runtime.process.agent import AgentProcess, serve_agent
from switchyard.runtime.storage.artefacts import Artefacts


async def run() -> None:
    """Serve the specialist."""
    settings = FieldRoutingSettings()
    travel: TravelMatrix = (
        GreatCircleTravel(road_factor=settings.road_factor, miles_per_hour=settings.road_miles_per_hour)
        if settings.road_matrix is None
        else RoadMatrixTravel(settings.road_matrix)
    )
    rates = Rates(
        cents_per_tenth_mile=settings.route_cents_per_mile // 10,
        cents_per_minute=settings.route_cents_per_hour // 60,
        overtime_cents_per_minute=settings.route_overtime_cents_per_hour // 60,
        max_overtime=settings.route_max_overtime_minutes,
    )
    lunch = Lunch(starts=settings.lunch_starts_minute, minutes=settings.lunch_minutes)

    async def build(process: AgentProcess, artefacts: Artefacts) -> dict[type[Contract], TaskHandler]:
        model = build_agent_model("field_routing", ModelSettings(), policy_version="field_routing/1")
        await process.connect_model(model)
        road = settings.model_dump(include={"road_factor", "road_miles_per_hour", "road_matrix"})
        process.configure(prompts={"route": ROUTE_PROMPT}, rates=rates, lunch=lunch, road=road)
        http = aiohttp.ClientSession()
        await process.on_exit(http.close)
        handler = partial(
            answer_question,
            artefacts=artefacts,
            model=model,
            agent=build_routing_agent(model),
            tokens=await open_identity_client(process, settings),
            audience=settings.work_orders_audience,
            service=WorkOrderService(http, settings.work_orders_url),
            planner=Planner(travel, rates, lunch, solve_in_process),
        )
        return {AnswerQuestion: handler}

    await serve_agent(CATALOGUE, FIELD_ROUTING_CARD, settings, build)

"""Composition root of the Text-to-SQL specialist."""

from __future__ import annotations

import logging
from functools import partial

import structlog

from contracts.cards import TEXT_TO_SQL_CARD
from contracts.catalogue import CATALOGUE
from contracts.events.router import AnswerQuestion
from services.models import build_agent_model
from services.specialists.text_to_sql.agent import SQL_PROMPT, build_sql_agent
from services.specialists.text_to_sql.budget import WarehouseBudget
from services.specialists.text_to_sql.guard_process import GuardProcess
from services.specialists.text_to_sql.handlers import answer_question
from services.specialists.text_to_sql.schema import load_schema
from services.specialists.text_to_sql.settings import TextToSqlSettings
from services.specialists.text_to_sql.verified import load_verified, review_queries
from services.specialists.text_to_sql.warehouse import QueryLimits, WarehouseEndpoint
from switchyard.identity.client_settings import open_identity_client
from switchyard.protocol.bundles import content_digest
from switchyard.protocol.fields import Contract
from switchyard.runtime.core.task import TaskHandler
from switchyard.runtime.models.clients import ModelSettings
from switchyard.runtime.process.agent import AgentProcess, serve_agent
from switchyard.runtime.process.late_imports import import_later
from switchyard.runtime.storage.artefacts import Artefacts

log = structlog.get_logger(__name__)


async def run() -> None:
    """Serve the specialist."""
    settings = TextToSqlSettings()
    schema, queries = load_schema(settings.warehouse_schema), load_verified(settings.warehouse_schema)
    endpoint = WarehouseEndpoint(
        account=settings.snowflake_account,
        database=schema.database,
        namespace=schema.namespace,
        warehouse=settings.snowflake_warehouse,
        host=settings.snowflake_host,
        port=settings.snowflake_port,
        protocol=settings.snowflake_protocol,
    )

    async def build(process: AgentProcess, artefacts: Artefacts) -> dict[type[Contract], TaskHandler]:
        logging.getLogger("snowflake").setLevel(logging.WARNING)
        process.run_in_background("imports", partial(import_later, "snowflake.connector"))
        model = build_agent_model("text_to_sql", ModelSettings(), policy_version="text_to_sql/2")
        await process.connect_model(model)
        guard = GuardProcess(schema)
        await process.on_exit(guard.close)
        await guard.start()
        verified = await review_queries(queries, schema, guard.check, process.clock.now().date())
        if verified.stale:
            log.warning("verified_queries.stale", found=verified.stale, remedy="see `switchyard schema check`")
        process.configure(
            prompts={"answer": SQL_PROMPT},
            warehouse_schema=content_digest(schema),
            verified_queries={each.id: content_digest(each) for each in verified.current},
        )
        handler = partial(
            answer_question,
            artefacts=artefacts,
            model=model,
            agent=build_sql_agent(model, schema),
            check=guard.check,
            endpoint=endpoint,
            identity=await open_identity_client(process, settings),
            audience=settings.snowflake_audience,
            schema=schema,
            limits=QueryLimits(max_rows=settings.max_rows, timeout_s=settings.query_timeout_s),
            budget=WarehouseBudget(
                process.pool,
                process.clock,
                seconds_per_day=settings.user_seconds_per_day,
                bytes_per_day=settings.user_bytes_per_day,
            ),
            verified=verified,
        )
        return {AnswerQuestion: handler}

    await serve_agent(CATALOGUE, TEXT_TO_SQL_CARD, settings, build)

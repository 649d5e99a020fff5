"""Composition root of the Text-to-SQL specialist."""

from __future__ import annotations

from functools import partial
from importlib import import_module

from contracts.cards import TEXT_TO_SQL
from contracts.events.router import AnswerQuestion
from services.specialists.models import build_model
from services.specialists.text_to_sql.agent import build_agent
from services.specialists.text_to_sql.handlers import answer_question
from services.specialists.text_to_sql.schema import load_schema
from services.specialists.text_to_sql.settings import TextToSqlSettings
from services.specialists.text_to_sql.warehouse import Address, Limits, SnowflakeWarehouse
from switchyard.protocol.fields import Contract
from switchyard.runtime.core.task import Handler
from switchyard.runtime.models.clients import ModelSettings
from switchyard.runtime.process.process import Process, serve_agent
from switchyard.runtime.storage.artefacts import Artefacts


async def run() -> None:
    """Serve the specialist."""
    # Ready means ready: the first question must not pay for the connector's import.
    import_module("snowflake.connector")
    settings = TextToSqlSettings()
    schema = load_schema()
    warehouse = SnowflakeWarehouse(
        Address(
            account=settings.snowflake_account,
            database=schema.database,
            namespace=schema.namespace,
            warehouse=settings.snowflake_warehouse,
            host=settings.snowflake_host,
            port=settings.snowflake_port,
            protocol=settings.snowflake_protocol,
        ),
        settings.snowflake_token,
    )

    async def build(process: Process, artefacts: Artefacts) -> dict[type[Contract], Handler]:
        model = build_model(ModelSettings(), policy_version="text_to_sql/2")
        await process.keep_warm(model)
        handler = partial(
            answer_question,
            artefacts=artefacts,
            model=model,
            agent=build_agent(model, schema),
            warehouse=warehouse,
            schema=schema,
            limits=Limits(max_rows=settings.max_rows, timeout_s=settings.query_timeout_s),
        )
        return {AnswerQuestion: handler}

    await serve_agent(TEXT_TO_SQL.name, settings, build, opens=TEXT_TO_SQL.opens)

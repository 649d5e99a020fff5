"""Publish submissions as an upstream system does: one event on the bus, nothing else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from pydantic import ValidationError

from faststream_sqs import Credentials, EventBridgePublisher, SQSBroker
from switchyard.app.application import load_app
from switchyard.cli.app.errors import InvalidArgument
from switchyard.cli.app.target import Target
from switchyard.protocol.canonical import parse_json
from switchyard.protocol.catalogue import UPSTREAM_PREFIX
from switchyard.protocol.errors import InvalidEvent
from switchyard.protocol.fields import Json
from switchyard.protocol.received import first_validation_error
from switchyard.protocol.submissions import Submission, case_id_for, playbook_of

DEFAULT_SOURCE = f"{UPSTREAM_PREFIX}cli"


def read_submission(text: str) -> Json | str:
    """A submission as JSON, or what is invalid: the field and the remedy."""
    try:
        detail = parse_json(text)
        case_of(detail, DEFAULT_SOURCE)
    except InvalidEvent as error:
        return str(error)
    except ValidationError as error:
        return ": ".join(first_validation_error(error))
    return detail


def _model_of(detail: Json) -> type[Submission]:
    """The kind of submission: its playbook says which; without one it is the application's first kind."""
    kinds = {playbook_of(model): model for model in load_app().submissions}
    return kinds.get(str(detail.get("playbook")), next(iter(kinds.values())))


@asynccontextmanager
async def open_publisher(target: Target) -> AsyncIterator[EventBridgePublisher]:
    """The target's bus, verified to exist."""
    settings = target.settings
    key, secret = settings.aws_access_key_id, settings.aws_secret_access_key
    # The target's own credentials, where it names them: a local stack's must win over this shell's.
    credentials = Credentials(key, secret, settings.aws_session_token) if key and secret else None
    broker = SQSBroker(
        region=settings.aws_region, endpoint_url=settings.aws_endpoint_url, credentials=credentials, logger=None
    )
    events = broker.event_publisher(bus=settings.bus)
    await broker.start()
    try:
        yield events
    finally:
        await broker.stop()


async def publish_submissions(target: Target, details: Sequence[Json], *, source: str = DEFAULT_SOURCE) -> list[str]:
    """Publish submissions and return the ids of the cases that they open. Raises `InvalidArgument` for a bad source."""
    await publish_details(target, details, source=source)
    return [case_of(detail, source) for detail in details]


async def publish_details(target: Target, details: Sequence[Json], *, source: str) -> None:
    """Publish what is taken for submissions, valid or not. Raises `InvalidArgument` for a bad source."""
    if not source.startswith(UPSTREAM_PREFIX):
        raise InvalidArgument(
            f"the source {source} is invalid: expected a name that begins with {UPSTREAM_PREFIX}",
            remedy=f"name it {UPSTREAM_PREFIX}something",
        )
    async with open_publisher(target) as events:

        async def publish(detail: Json) -> None:
            body = json.dumps(detail, ensure_ascii=False)
            await events.publish(body, source=source, detail_type=_model_of(detail).__name__)

        await asyncio.gather(*map(publish, details))


def case_of(detail: Json, source: str) -> str:
    """The id of the case that a submission opens. Raises `ValidationError` or `InvalidEvent` for an invalid one."""
    model = _model_of(detail)
    submitted = model.model_validate_json(json.dumps(detail))
    asker = load_app().submissions[model](submitted).principal
    return case_id_for(submitted.tenant, source, asker, submitted.idempotency_key)

"""Publish submissions as an upstream system does: one event on the bus, nothing else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from pydantic import ValidationError

from faststream_sqs import Credentials, EventBridgePublisher, SQSBroker
from switchyard.app.application import load_app, playbook_of
from switchyard.cli.app.errors import CommandFailed
from switchyard.cli.app.target import Target
from switchyard.protocol.canonical import parse_json
from switchyard.protocol.catalogue import UPSTREAM_PREFIX
from switchyard.protocol.errors import InvalidEvent
from switchyard.protocol.fields import Json
from switchyard.protocol.received import first_validation_error
from switchyard.protocol.submissions import Submission, case_id_for
from switchyard.protocol.topology import BUS

DEFAULT_SOURCE = f"{UPSTREAM_PREFIX}cli"


@dataclass(frozen=True)
class SubmissionLine:
    """One line of a file: what it says, or what is wrong with it."""

    number: int
    detail: Json | None
    problem: str | None = None


def read_lines(lines: Iterable[str]) -> list[SubmissionLine]:
    """Read JSON lines; blank ones are skipped, bad ones are told by number, field and remedy."""
    return [_read(number, text) for number, text in enumerate(lines, start=1) if text.strip()]


def _read(number: int, text: str) -> SubmissionLine:
    try:
        detail = parse_json(text)
        _model_of(detail).model_validate_json(json.dumps(detail))
    except InvalidEvent as error:
        return SubmissionLine(number, None, str(error))
    except ValidationError as error:
        field, message = first_validation_error(error)
        return SubmissionLine(number, None, f"{field}: {message}")
    return SubmissionLine(number, detail)


def _model_of(detail: Json) -> type[Submission]:
    """The kind of submission: its playbook says which; without one it is the application's first kind."""
    kinds = {playbook_of(model): model for model in load_app().submissions}
    return kinds.get(str(detail.get("playbook")), next(iter(kinds.values())))


@asynccontextmanager
async def open_publisher(target: Target) -> AsyncIterator[EventBridgePublisher]:
    """The target's bus, verified to exist."""
    region, endpoint = target.get("AWS_REGION") or "us-east-1", target.get("AWS_ENDPOINT_URL")
    broker = SQSBroker(region=region, endpoint_url=endpoint, credentials=_credentials(target), logger=None)
    events = broker.event_publisher(bus=target.get("SWITCHYARD_BUS") or BUS)
    await broker.start()
    try:
        yield events
    finally:
        await broker.stop()


def _credentials(target: Target) -> Credentials | None:
    """The target's own, where it names them: the laptop's must win over whatever this shell has."""
    key, secret = target.get("AWS_ACCESS_KEY_ID"), target.get("AWS_SECRET_ACCESS_KEY")
    if key is None or secret is None:
        return None
    return Credentials(key, secret, target.get("AWS_SESSION_TOKEN"))


def detail_type_of(detail: Json) -> str:
    """The detail-type of a submission: its playbook says which."""
    return _model_of(detail).__name__


async def publish_submissions(target: Target, details: Sequence[Json], *, source: str = DEFAULT_SOURCE) -> list[str]:
    """Publish submissions and return the ids of the cases that they open. Raises `CommandFailed` for a bad source."""
    if not source.startswith(UPSTREAM_PREFIX):
        raise CommandFailed(f"the source {source} is no upstream's", remedy=f"name it {UPSTREAM_PREFIX}something")
    async with open_publisher(target) as events:
        await asyncio.gather(
            *(
                events.publish(
                    json.dumps(detail, ensure_ascii=False), source=source, detail_type=detail_type_of(detail)
                )
                for detail in details
            )
        )
    return [case_id_for(detail["tenant"], source, detail["idempotency_key"]) for detail in details]

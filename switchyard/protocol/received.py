"""Read an event off the bus: shape, addressing, catalogue, digest, payload. Pure, and the same for every consumer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import Field, JsonValue, ValidationError

from switchyard.protocol.canonical import parse_json
from switchyard.protocol.catalogue import Catalogue, EventType
from switchyard.protocol.digest import event_digest
from switchyard.protocol.envelope import SOURCE_PREFIX, Envelope
from switchyard.protocol.errors import InvalidEvent, NotDeployed, forged, invalid, malformed, safe_field_name
from switchyard.protocol.fields import Contract, Json

P = TypeVar("P", bound=Contract, covariant=True)


@dataclass(frozen=True)
class ReceivedEvent(Generic[P]):
    """An event that has passed every check that needs no key and no table."""

    envelope: Envelope
    payload: P
    raw: Json
    """The object as received: what the digest covers, unknown fields included."""


@dataclass(frozen=True)
class BusDelivery:
    """An event whose envelope holds, and what the bus claims about it. Nothing may depend on these claims."""

    envelope: Envelope
    raw: Json
    bus_id: JsonValue
    bus_time: JsonValue


class _BusEvent(Contract):
    source: str
    detail_type: str = Field(alias="detail-type")
    detail: Envelope
    id: JsonValue = None
    time: JsonValue = None


def read_bus_event(body: str) -> tuple[str, str, Json]:
    """The source, the detail-type and the detail of an EventBridge event. Raises `InvalidEvent` (malformed)."""
    event = parse_json(body)
    source, detail_type, detail = event.get("source"), event.get("detail-type"), event.get("detail")
    if not isinstance(source, str):
        raise _not_a_bus_event("source")
    if not isinstance(detail_type, str):
        raise _not_a_bus_event("detail-type")
    if not isinstance(detail, dict):
        raise _not_a_bus_event("detail")
    return source, detail_type, detail


def _not_a_bus_event(field: str) -> InvalidEvent:
    return malformed("not an EventBridge event", field, "put events on the bus; do not send to a consumer's queue")


def read_envelope(body: str) -> tuple[Envelope, Json]:
    """The envelope and the object as received; see `read_delivery`."""
    delivery = read_delivery(body)
    return delivery.envelope, delivery.raw


def read_delivery(body: str) -> BusDelivery:
    """Check everything about an event, as EventBridge delivered it, but its place in the catalogue and its payload.

    Raises `InvalidEvent`: malformed (not an envelope) or forged (source, type or digest do not agree with it).
    The text is read twice, on purpose: by a parser that refuses what two readers could take differently, for the
    digest, and by the contract's, which takes JSON's types for what they are.
    """
    source, detail_type, raw = read_bus_event(body)
    try:
        read = _BusEvent.model_validate_json(body)
    except ValidationError as error:
        field, message = first_validation_error(error)
        remedy = "send an envelope that is valid under its JSON Schema, envelope.json"
        raise malformed(message, field.removeprefix("detail."), remedy) from None
    envelope = read.detail
    if source != SOURCE_PREFIX + envelope.node_from:
        remedy = f"publish as {SOURCE_PREFIX}{envelope.node_from}, with that service's role"
        raise forged("the bus source is not that of the producer that the event names", "node_from", remedy)
    if detail_type != envelope.type:
        raise forged("the bus detail-type is not the event's type", "type")
    if event_digest(raw) != envelope.digest:
        remedy = "publish it as produced, or produce it again"
        raise forged("the digest does not match the event: it was altered after it was written", "digest", remedy)
    return BusDelivery(envelope, raw, read.id, read.time)


def find_event_type(catalogue: Catalogue, envelope: Envelope) -> EventType:
    """The catalogue's entry. Raises `InvalidEvent` for an unknown type or version, or a producer without the right."""
    type_ = catalogue.find(envelope.type, envelope.version)
    if type_ is None:
        known = catalogue.has_type(envelope.type)
        what = f"version {envelope.version}" if known else "type"
        message = f"{envelope.type} version {envelope.version} is not in this consumer's catalogue"
        remedy = f"deploy the consumer that knows this {what} before the producer that sends it"
        raise NotDeployed(message, field="version" if known else "type", remedy=remedy)
    if envelope.node_from not in type_.producers:
        raise forged(
            f"{envelope.node_from} may not emit {envelope.type}", "node_from", f"allowed: {', '.join(type_.producers)}"
        )
    return type_


def check_addressed(envelope: Envelope, type_: EventType, node: str) -> None:
    """Raise `InvalidEvent` unless the event travels to `node` on one of its type's flows, or `node` observes it on one
    of them."""
    addressed = envelope.node_to == node or node in type_.observers
    if not addressed or (envelope.node_from, envelope.node_to) not in type_.flows:
        message = f"{envelope.type} from {envelope.node_from} for {envelope.node_to} reached {node}"
        raise forged(message, "node_to", "compare the bus rule with the catalogue")


def read_payload(type_: EventType, raw: dict[str, Any]) -> Contract:
    """The payload under its contract. Raises `InvalidEvent` naming the field."""
    try:
        return type_.payload.model_validate_json(json.dumps(raw["payload"]))
    except ValidationError as error:
        field, message = first_validation_error(error)
        field = "payload" if field == WHOLE else f"payload.{field}"
        raise invalid(message, field, f"send {type_.name} as its JSON Schema has it") from None


def read_event(catalogue: Catalogue, body: str, *, node: str) -> ReceivedEvent[Contract]:
    """Accept an event addressed to `node`, or raise `InvalidEvent` with the kind, the field and the remedy."""
    envelope, raw = read_envelope(body)
    with attach_envelope(envelope):
        type_ = find_event_type(catalogue, envelope)
        check_addressed(envelope, type_, node)
        return ReceivedEvent(envelope, read_payload(type_, raw), raw)


@contextmanager
def attach_envelope(envelope: Envelope) -> Iterator[None]:
    """Give an `InvalidEvent` the envelope that was authenticated before it was raised."""
    try:
        yield
    except InvalidEvent as rejection:
        rejection.envelope = envelope
        raise


WHOLE = "(whole)"
"""The field of a problem that is no single field's."""


def first_validation_error(error: ValidationError) -> tuple[str, str]:
    """The dotted field and the message of a validation error's first problem, without the offending value."""
    problem = error.errors(include_input=False, include_url=False, include_context=False)[0]
    field = ".".join(safe_field_name(part) for part in problem["loc"]) or WHOLE
    message = problem["msg"][0].lower() + problem["msg"][1:]
    return field, message

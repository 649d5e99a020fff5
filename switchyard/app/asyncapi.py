"""The AsyncAPI 3.0 document: the bus, a channel per queue, a message per event type."""

from __future__ import annotations

from switchyard.app.schemas import definitions
from switchyard.protocol.catalogue import AUDIT, UPSTREAM_PREFIX, Catalogue, EventType
from switchyard.protocol.envelope import SOURCE_PREFIX
from switchyard.protocol.fields import Json
from switchyard.protocol.topology import (
    BUS,
    DEAD_LETTER_RETENTION_SECONDS,
    MAX_RECEIVES,
    RETENTION_SECONDS,
    VISIBILITY_SECONDS,
    ConsumerQueues,
    consumers,
)

ASYNCAPI_VERSION = "3.0.0"
CONTRACTS_VERSION = "1.0.0"
_SCHEMAS = "#/components/schemas/"


def build_asyncapi(catalogue: Catalogue) -> Json:
    """The document, complete in itself."""
    return {
        "asyncapi": ASYNCAPI_VERSION,
        "id": "urn:switchyard:contracts",
        "info": {
            "title": "Switchyard events",
            "version": CONTRACTS_VERSION,
            "description": (
                "Every service publishes to one EventBridge bus and consumes from its own SQS queue. "
                "Rules on source and `detail.node_to` connect the two."
            ),
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {"bus": _bus(catalogue)}
        | {consumer.node: _queue(catalogue, consumer) for consumer in consumers(catalogue)},
        "operations": dict(_operations(catalogue)),
        "components": {
            "messages": {_key(type_): _message(type_) for type_ in catalogue.types},
            "schemas": definitions(catalogue, _SCHEMAS + "{model}"),
        },
    }


def types_delivered_to(catalogue: Catalogue, node: str) -> tuple[EventType, ...]:
    """What arrives in the node's queue: what it handles, and for audit everything with an envelope."""
    if node == AUDIT:
        return tuple(type_ for type_ in catalogue.types if type_.producers != (UPSTREAM_PREFIX,))
    return catalogue.types_for(node)


def _key(type_: EventType) -> str:
    return f"{type_.name}.v{type_.version}"


def _bus(catalogue: Catalogue) -> Json:
    return {
        "address": BUS,
        "title": "The bus",
        "description": "An EventBridge bus. Sources: `switchyard.<node>`, and `upstream.<system>` for submissions.",
        "messages": {_key(type_): {"$ref": f"#/components/messages/{_key(type_)}"} for type_ in catalogue.types},
    }


def _queue(catalogue: Catalogue, consumer: ConsumerQueues) -> Json:
    queue = {
        "name": consumer.queue,
        "fifoQueue": False,
        "visibilityTimeout": VISIBILITY_SECONDS,
        "messageRetentionPeriod": RETENTION_SECONDS,
        "redrivePolicy": {"deadLetterQueue": {"name": consumer.dead_letter_queue}, "maxReceiveCount": MAX_RECEIVES},
    }
    dead_letters = {
        "name": consumer.dead_letter_queue,
        "fifoQueue": False,
        "messageRetentionPeriod": DEAD_LETTER_RETENTION_SECONDS,
    }
    types = types_delivered_to(catalogue, consumer.node)
    return {
        "address": consumer.queue,
        "title": f"The queue of {consumer.node}",
        "messages": {_key(type_): {"$ref": f"#/components/messages/{_key(type_)}"} for type_ in types},
        "bindings": {"sqs": {"queue": queue, "deadLetterQueue": dead_letters, "bindingVersion": "0.2.0"}},
        "x-rules": [{"name": rule.name, "pattern": rule.pattern, "queue": rule.queue} for rule in consumer.rules],
    }


def _operations(catalogue: Catalogue) -> list[tuple[str, Json]]:
    operations = []
    for node in catalogue.nodes:
        for name, action, channel, types in (
            (f"{node}_receives", "receive", node, types_delivered_to(catalogue, node)),
            (f"{node}_publishes", "send", "bus", catalogue.types_emitted_by(node)),
        ):
            if types:
                messages = [{"$ref": f"#/channels/{channel}/messages/{_key(type_)}"} for type_ in types]
                operation = {"action": action, "channel": {"$ref": f"#/channels/{channel}"}, "messages": messages}
                operations.append((name, operation))
    return operations


def _message(type_: EventType) -> Json:
    payload = {"$ref": _SCHEMAS + type_.payload.__name__}
    if type_.producers == (UPSTREAM_PREFIX,):
        source: Json = {"type": "string", "pattern": f"^{UPSTREAM_PREFIX.replace('.', '[.]')}"}
        detail: Json = payload
        described: Json = {}
    else:
        source = {"type": "string", "enum": [SOURCE_PREFIX + producer for producer in type_.producers]}
        ours = {
            "type": {"const": type_.name},
            "version": {"const": type_.version},
            "node_from": {"enum": list(type_.producers)},
            "node_to": {"enum": list(type_.consumers)},
            "payload": payload,
        }
        detail = {"allOf": [{"$ref": _SCHEMAS + "Envelope"}, {"type": "object", "properties": ours}]}
        described = {"correlationId": {"location": "$message.payload#/detail/case_id"}}
    event = {
        "type": "object",
        "description": "The EventBridge event; its other fields are the bus's own.",
        "required": ["source", "detail-type", "detail"],
        "properties": {"source": source, "detail-type": {"const": type_.name}, "detail": detail},
    }
    doc = (type_.payload.__doc__ or type_.name).strip()
    return described | {
        "name": type_.name,
        "title": f"{type_.name}, version {type_.version}",
        "summary": doc.splitlines()[0],
        "payload": event,
        "x-flows": [{"from": producer, "to": consumer} for producer, consumer in type_.flows],
        **({"x-observers": list(type_.observers)} if type_.observers else {}),
    }

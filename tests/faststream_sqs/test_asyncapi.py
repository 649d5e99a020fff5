"""The AsyncAPI document, validated against the JSON Schema of the AsyncAPI Initiative."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from faststream.specification import AsyncAPI
from jsonschema import Draft7Validator
from pydantic import BaseModel

from faststream_sqs import SQSBroker, SQSRouter

SCHEMAS = Path(__file__).parent / "asyncapi"
DOCUMENT = Draft7Validator(json.loads((SCHEMAS / "asyncapi-3.0.0.schema.json").read_text()))
CHANNEL_0_3_0 = Draft7Validator(json.loads((SCHEMAS / "sqs-channel-0.3.0.schema.json").read_text()))


class Order(BaseModel):
    """What was ordered."""

    id: int
    lines: list[str]


@pytest.fixture
def broker() -> SQSBroker:
    """A broker with every kind of endpoint, three of them from a router."""
    broker = SQSBroker("us-east-1", logger=None)
    router = SQSRouter(prefix="shop-")

    @router.subscriber("orders", dead_letter_queue="orders-dlq", visibility_timeout=12.5, wait_time=7)
    @router.publisher("receipts", description="What was paid.")
    @router.event_publisher("shop", source="shop.tills", detail_type="OrderPlaced", schema=Order)
    async def place(order: Order) -> Order:
        """Takes an order."""
        return order

    broker.include_router(router)

    @broker.subscriber("placed", detail_type={"OrderPlaced", "OrderPaid"}, source="shop.tills", batch=True)
    async def count(orders: list[Order]) -> None: ...

    @broker.subscriber("https://sqs.us-east-1.amazonaws.com/123456789012/elsewhere")
    async def elsewhere(body: str) -> None: ...

    return broker


@pytest.fixture
def document(broker: SQSBroker) -> dict[str, Any]:
    generated: dict[str, Any] = json.loads(AsyncAPI(broker, schema_version="3.0.0").to_specification().to_json())
    return generated


def channel(document: dict[str, Any], address: str) -> dict[str, Any]:
    [found] = [each for each in document["channels"].values() if each["address"] == address]
    return dict(found)


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def resolve(document: Any, reference: str) -> Any:
    """What a reference points at. Raises `KeyError` if that is nothing."""
    for part in reference.removeprefix("#/").split("/"):
        document = document[part.replace("~1", "/").replace("~0", "~")]
    return document


def test_document_is_valid_asyncapi(document: dict[str, Any]) -> None:
    assert [error.message for error in DOCUMENT.iter_errors(document)] == []
    assert len(document["channels"]) == 5
    assert {each["action"] for each in document["operations"].values()} == {"send", "receive"}
    for reference in set(references(document)):
        assert resolve(document, reference)


def test_wrong_binding_fails_the_schema(document: dict[str, Any]) -> None:
    wrong = copy.deepcopy(document)
    for each in wrong["channels"].values():
        if binding := each.get("bindings"):
            del binding["sqs"]["queue"]["fifoQueue"]
    assert list(DOCUMENT.iter_errors(wrong))


def test_queue_binding_has_its_name_lease_and_dead_letter_queue(document: dict[str, Any]) -> None:
    assert channel(document, "shop-orders")["bindings"]["sqs"] == {
        "queue": {
            "name": "shop-orders",
            "fifoQueue": False,
            "visibilityTimeout": 13,
            "receiveMessageWaitTime": 7,
            "redrivePolicy": {"deadLetterQueue": {"name": "shop-orders-dlq"}},
        },
        "bindingVersion": "0.2.0",
    }
    assert channel(document, "shop-receipts")["bindings"]["sqs"]["queue"] == {
        "name": "shop-receipts",
        "fifoQueue": False,
    }
    elsewhere = channel(document, "https://sqs.us-east-1.amazonaws.com/123456789012/elsewhere")
    assert elsewhere["bindings"]["sqs"]["queue"]["name"] == "elsewhere"


def test_binding_is_valid_in_the_newest_version_of_its_specification(document: dict[str, Any]) -> None:
    bindings = [each["bindings"]["sqs"] for each in document["channels"].values() if each.get("bindings")]
    assert len(bindings) == 4
    for binding in bindings:
        assert [error.message for error in CHANNEL_0_3_0.iter_errors({**binding, "bindingVersion": "0.3.0"})] == []


def test_operations_and_event_buses_have_no_binding(document: dict[str, Any]) -> None:
    assert not any(each.get("bindings") for each in document["operations"].values())
    assert "bindings" not in channel(document, "shop")


def test_descriptions_name_the_events(document: dict[str, Any]) -> None:
    placed = channel(document, "placed")["description"]
    assert placed == "Takes events of type OrderPaid or OrderPlaced from shop.tills."
    published = channel(document, "shop")["description"]
    assert published == "Publishes events of type OrderPlaced from shop.tills on the EventBridge bus shop."
    assert channel(document, "shop-orders")["description"] == "Takes an order."
    assert channel(document, "shop-receipts")["description"] == "What was paid."


def test_payloads_are_those_of_the_handlers(document: dict[str, Any]) -> None:
    order = document["components"]["schemas"]["Order"]
    assert order["required"] == ["id", "lines"]
    message = document["channels"]["shop-orders:Place"]["messages"]["SubscribeMessage"]
    assert resolve(document, message["$ref"])["payload"] == {"$ref": "#/components/schemas/Order"}

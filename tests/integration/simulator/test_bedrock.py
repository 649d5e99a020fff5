"""Converse and ConverseStream, through boto3."""

from __future__ import annotations

import json
import time
from contextlib import closing
from typing import Any

import pytest
from botocore.exceptions import ClientError, EventStreamError

from tests.integration.simulator.running import BEDROCK_MODEL, Running

TOOLS = {
    "tools": [
        {"toolSpec": {"name": name, "description": "A tool.", "inputSchema": {"json": {"type": "object"}}}}
        for name in ("production", "north", "south")
    ]
}


def says(text: str) -> dict[str, Any]:
    return {"modelId": BEDROCK_MODEL, "messages": [{"role": "user", "content": [{"text": text}]}]}


def asks_with_tools(text: str) -> dict[str, Any]:
    return {**says(text), "toolConfig": TOOLS}


def joined(events: list[dict[str, Any]]) -> str:
    deltas = [event["contentBlockDelta"]["delta"] for event in events if "contentBlockDelta" in event]
    return "".join(delta.get("text", "") for delta in deltas)


def test_converse_answers_with_text_usage_and_stop_reason(bedrock: Any) -> None:
    response = bedrock.converse(**says("tell me a story"))
    assert response["output"]["message"]["content"][0]["text"].startswith("Once there was a pump")
    assert response["stopReason"] == "end_turn"
    usage = response["usage"]
    assert (usage["inputTokens"], usage["totalTokens"]) == (5, 5 + usage["outputTokens"])
    assert response["ResponseMetadata"]["RequestId"]
    assert response["ResponseMetadata"]["HTTPHeaders"]["x-simulator"] == "scripted"


def test_stream_has_the_text_and_usage_of_the_whole_answer(bedrock: Any) -> None:
    whole = bedrock.converse(**says("tell me a story"))
    events = list(bedrock.converse_stream(**says("tell me a story"))["stream"])
    assert [next(iter(event)) for event in (events[0], *events[-3:])] == [
        "messageStart",
        "contentBlockStop",
        "messageStop",
        "metadata",
    ]
    assert joined(events) == whole["output"]["message"]["content"][0]["text"]
    assert events[-1]["metadata"]["usage"] == whole["usage"]


def test_model_addressed_by_its_arn_is_found(bedrock: Any, simulator: Running) -> None:
    arn = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-pro-v1:0"
    bedrock.converse(**{**says("tell me a story"), "modelId": arn})
    assert simulator.get("/sim/calls")["by_model"] == {arn: 1}


def test_tool_call_and_its_result_lead_to_the_next_step(bedrock: Any) -> None:
    question = asks_with_tools("Show well 4200312345 over 12 months")
    first = bedrock.converse(**question)
    text, call = first["output"]["message"]["content"]
    assert first["stopReason"] == "tool_use"
    assert text == {"text": "Let me look that up."}
    assert call["toolUse"]["input"] == {"api": "4200312345", "months": "12"}
    result = {"toolUseId": call["toolUse"]["toolUseId"], "content": [{"json": {"barrels": 4711}}]}
    question["messages"] += [first["output"]["message"], {"role": "user", "content": [{"toolResult": result}]}]
    second = bedrock.converse(**question)
    assert json.loads(second["output"]["message"]["content"][0]["text"])["barrels"] == "4711"


def test_tool_calls_are_streamed_in_separate_blocks(bedrock: Any) -> None:
    events = list(bedrock.converse_stream(**asks_with_tools("use both tools"))["stream"])
    starts = [event["contentBlockStart"] for event in events if "contentBlockStart" in event]
    assert [(start["contentBlockIndex"], start["start"]["toolUse"]["name"]) for start in starts] == [
        (0, "north"),
        (1, "south"),
    ]
    arguments = {0: "", 1: ""}
    for event in events:
        if "contentBlockDelta" in event:
            delta = event["contentBlockDelta"]
            arguments[delta["contentBlockIndex"]] += delta["delta"]["toolUse"]["input"]
    assert [json.loads(text) for text in arguments.values()] == [{}, {"miles": 3}]
    assert [event["contentBlockStop"]["contentBlockIndex"] for event in events if "contentBlockStop" in event] == [0, 1]
    assert events[-2]["messageStop"]["stopReason"] == "tool_use"


def test_prompt_without_a_rule_is_refused_as_not_scripted_and_counted(bedrock: Any, simulator: Running) -> None:
    with pytest.raises(ClientError) as caught:
        bedrock.converse(**says("What is love?"))
    assert caught.value.response["Error"]["Code"] == "not_scripted"
    assert "Remedy: use a real model" in caught.value.response["Error"]["Message"]
    report = simulator.get("/sim/calls")
    assert (report["unscripted"], report["by_rule"]) == (1, {})


def test_tool_result_without_its_call_is_a_validation_error(bedrock: Any) -> None:
    result = {"toolResult": {"toolUseId": "unknown", "content": [{"text": "x"}]}}
    with pytest.raises(bedrock.exceptions.ValidationException, match="unknown"):
        bedrock.converse(modelId=BEDROCK_MODEL, messages=[{"role": "user", "content": [result]}])


@pytest.mark.parametrize(
    ("fault", "name", "status"),
    [
        ({"throttle": True}, "ThrottlingException", 429),
        ({"error": 400}, "ValidationException", 400),
        ({"error": 408}, "ModelTimeoutException", 408),
        ({"error": 500}, "InternalServerException", 500),
        ({"error": 503}, "ServiceUnavailableException", 503),
        ({"error": {"status": 424, "code": "ModelErrorException", "message": "no"}}, "ModelErrorException", 424),
    ],
)
@pytest.mark.parametrize("operation", ["converse", "converse_stream"])
def test_error_has_botocores_class(
    bedrock: Any, simulator: Running, fault: dict[str, Any], name: str, status: int, operation: str
) -> None:
    simulator.inject(**fault)
    with pytest.raises(getattr(bedrock.exceptions, name)) as caught:
        getattr(bedrock, operation)(**says("tell me a story"))
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert caught.value.response["Error"]["Code"] == name


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({}, "internalServerException"),
        ({"throttle": True}, "throttlingException"),
        ({"error": 424}, "modelStreamErrorException"),
        ({"error": {"status": 500, "code": "ServiceUnavailableException"}}, "serviceUnavailableException"),
    ],
)
def test_error_in_mid_stream_follows_the_tokens_before_it(
    bedrock: Any, simulator: Running, fault: dict[str, Any], code: str
) -> None:
    simulator.inject(error_after_tokens=4, planned="drill", **fault)
    with closing(bedrock.converse_stream(**says("tell me a story"))["stream"]) as stream:
        events = iter(stream)
        assert joined([next(events), next(events)]) == "Once there was"
        with pytest.raises(EventStreamError, match="drill") as caught:
            next(events)
    assert caught.value.response["Error"]["Code"] == code
    assert simulator.get("/sim/calls")["recent"][-1]["tokens_sent"] == 4


def test_stream_keeps_the_planned_first_token_time_and_rate(bedrock: Any, simulator: Running) -> None:
    simulator.inject(latency=150, tokens_per_second=100)
    began = time.monotonic()
    stream = bedrock.converse_stream(**says("tell me a story"))["stream"]
    arrivals = [time.monotonic() - began for event in stream if "contentBlockDelta" in event]
    assert arrivals[0] >= 0.15
    assert arrivals[-1] >= 0.15 + (len(arrivals) - 1) / 100
    assert len(arrivals) > 40


def test_unsimulated_operation_is_refused_with_the_supported_ones(bedrock: Any) -> None:
    with pytest.raises(ClientError, match="InvokeModel for Titan's embeddings only"):
        bedrock.invoke_model(modelId=BEDROCK_MODEL, body=b"{}")


TITAN = "amazon.titan-embed-text-v2:0"


def test_embeddings_of_like_texts_are_nearer_than_those_of_others(bedrock: Any) -> None:
    def embed(text: str) -> list[float]:
        answer = bedrock.invoke_model(modelId=TITAN, body=json.dumps({"inputText": text, "dimensions": 256}))
        found: list[float] = json.loads(answer["body"].read())["embedding"]
        return found

    pump, rented, lunch = map(embed, ("the pump is rented", "we rent the pump", "lunch is at noon"))
    assert len(pump) == 256
    assert sum(a * a for a in pump) == pytest.approx(1, abs=1e-3)
    assert sum(a * b for a, b in zip(pump, rented, strict=True)) > sum(a * b for a, b in zip(pump, lunch, strict=True))


@pytest.mark.parametrize("body", [b"{}", b"[", b'{"inputText": ""}', b'{"inputText": "x", "dimensions": 7}'])
def test_embedding_request_that_titan_would_refuse_is_refused(bedrock: Any, body: bytes) -> None:
    with pytest.raises(ClientError, match="ValidationException"):
        bedrock.invoke_model(modelId=TITAN, body=body)

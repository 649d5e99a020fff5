"""Faults given at run time, and what the simulator reports of them and of clients that leave."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any
from urllib.error import HTTPError

import openai
import pytest
from botocore.exceptions import ClientError

from tests.integration.simulator.running import BEDROCK_MODEL, OPENAI_MODEL, Running

STORY: dict[str, Any] = {
    "modelId": BEDROCK_MODEL,
    "messages": [{"role": "user", "content": [{"text": "tell me a story"}]}],
}


def test_fault_applies_only_to_models_of_its_pattern(bedrock: Any, chat: openai.OpenAI, simulator: Running) -> None:
    simulator.inject(model="us.amazon.*", throttle=True)
    with pytest.raises(bedrock.exceptions.ThrottlingException):
        bedrock.converse(**STORY)
    chat.chat.completions.create(model=OPENAI_MODEL, messages=[{"role": "user", "content": "tell me a story"}])
    assert simulator.get("/sim/calls")["whole"] == {
        "active": 0, "completed": 1, "failed": 1, "aborted": 0, "expired": 0, "dropped": 0,
    }  # fmt: skip


def test_fault_limited_to_a_number_of_times_ends(bedrock: Any, simulator: Running) -> None:
    simulator.inject(error=503, times=2)
    for _ in range(2):
        with pytest.raises(bedrock.exceptions.ServiceUnavailableException):
            bedrock.converse(**STORY)
    assert bedrock.converse(**STORY)["stopReason"] == "end_turn"


def test_numbered_call_gets_its_planned_fault_in_any_order(bedrock: Any, simulator: Running) -> None:
    outage = {"name": "outage", "starts_at": 2, "lasts": 1, "first_token_ms": 1, "tokens_per_second": 100_000}
    simulator.inject(distribution=outage, numbered_by=r"story (\d+)")
    went = {}
    for number in (3, 2, 2, 1):
        text = f"tell me a story {number}"
        try:
            bedrock.converse(modelId=BEDROCK_MODEL, messages=[{"role": "user", "content": [{"text": text}]}])
            went[number] = "well"
        except bedrock.exceptions.ServiceUnavailableException:
            went[number] = "down"
    assert went == {1: "well", 2: "down", 3: "well"}


def test_numbering_with_an_invalid_expression_is_refused(simulator: Running) -> None:
    with pytest.raises(HTTPError) as refused:
        simulator.inject(error=503, numbered_by="story (")
    assert refused.value.code == 422
    assert "numbered_by" in refused.value.read().decode()


def test_newest_fault_applies_first_and_can_be_removed_alone(bedrock: Any, simulator: Running) -> None:
    simulator.inject(error=503)
    newest = simulator.inject(error=400)
    with pytest.raises(bedrock.exceptions.ValidationException):
        bedrock.converse(**STORY)
    simulator.send("DELETE", f"/sim/faults/{newest}")
    with pytest.raises(bedrock.exceptions.ServiceUnavailableException):
        bedrock.converse(**STORY)
    simulator.send("POST", "/sim/reset")
    assert bedrock.converse(**STORY)["stopReason"] == "end_turn"


def test_planned_fault_has_its_label_in_every_response(bedrock: Any, simulator: Running) -> None:
    simulator.inject(planned="drill 7", error=503)
    with pytest.raises(ClientError, match="Planned by the model simulator: drill 7") as caught:
        bedrock.converse(**STORY)
    assert caught.value.response["ResponseMetadata"]["HTTPHeaders"]["x-simulator-fault"] == "drill 7"
    assert simulator.get("/sim/calls")["by_fault"] == {"drill 7": 1}


def test_named_distribution_decides_per_call(bedrock: Any, simulator: Running) -> None:
    simulator.inject(
        distribution={"name": "outage", "starts_at": 1, "lasts": 2, "first_token_ms": 1, "tokens_per_second": 2000}
    )
    outcomes = []
    for _ in range(4):
        try:
            outcomes.append(bedrock.converse(**STORY)["stopReason"])
        except bedrock.exceptions.ServiceUnavailableException:
            outcomes.append("down")
    assert outcomes == ["end_turn", "down", "down", "end_turn"]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"model": "x"}, "says nothing of what shall happen"),
        ({"eror": 500}, "eror: Extra inputs are not permitted"),
        ({"error": 200}, "error.status: Input should be greater than or equal to 400"),
        (
            {"latency": 5, "distribution": {"name": "steady"}},
            "a distribution decides everything itself: remove latency",
        ),
    ],
)
def test_invalid_fault_is_refused_with_the_reason(simulator: Running, fault: dict[str, Any], message: str) -> None:
    with pytest.raises(HTTPError) as caught:
        simulator.inject(**fault)
    with caught.value as refused:
        assert refused.code == 422
        assert message in refused.read().decode()


def test_bedrock_stream_planned_stall_waits_for_client_close(bedrock: Any, simulator: Running) -> None:
    simulator.inject(stall_after_tokens=3)
    stream = bedrock.converse_stream(**STORY)["stream"]
    events = iter(stream)
    assert "messageStart" in next(events)
    assert next(events)["contentBlockDelta"]["delta"]["text"] == "Once there"
    assert simulator.streams()["active"] == 1
    stream.close()
    report = simulator.eventually(lambda report: report["streams"]["aborted"] == 1)
    assert report["streams"]["active"] == 0
    assert report["recent"][-1]["tokens_sent"] == 3


async def test_openai_stream_cancelled_by_the_client_is_aborted(
    async_chat: openai.AsyncOpenAI, simulator: Running
) -> None:
    simulator.inject(stall_after_tokens=3)
    first_token = asyncio.Event()

    async def read() -> None:
        stream = await async_chat.chat.completions.create(
            model=OPENAI_MODEL, messages=[{"role": "user", "content": "tell me a story"}], stream=True
        )
        async with stream:
            async for chunk in stream:
                if chunk.choices[0].delta.content:
                    first_token.set()

    reading = asyncio.create_task(read())
    await first_token.wait()
    assert simulator.streams()["active"] == 1
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    report = await asyncio.to_thread(simulator.eventually, lambda report: report["streams"]["aborted"] == 1)
    assert report["streams"]["active"] == 0


async def test_call_aborted_before_its_first_byte_is_counted(
    async_chat: openai.AsyncOpenAI, simulator: Running
) -> None:
    simulator.inject(stall=True)
    asked = asyncio.create_task(
        async_chat.chat.completions.create(model=OPENAI_MODEL, messages=[{"role": "user", "content": "hello"}])
    )
    await asyncio.to_thread(simulator.eventually, lambda report: report["whole"]["active"] == 1)
    assert not asked.done()
    asked.cancel()
    await asyncio.to_thread(simulator.eventually, lambda report: report["whole"]["aborted"] == 1)


def test_stall_before_the_first_byte_ends_in_a_timeout_error(bedrock: Any, simulator: Running) -> None:
    simulator.inject(stall=True, stall_seconds=0.2)
    began = time.monotonic()
    with pytest.raises(bedrock.exceptions.ModelTimeoutException):
        bedrock.converse_stream(**STORY)
    assert time.monotonic() - began >= 0.2
    assert simulator.streams()["expired"] == 1


def test_stall_in_mid_stream_ends_in_a_broken_connection(chat: openai.OpenAI, simulator: Running) -> None:
    simulator.inject(stall_after_tokens=2, stall_seconds=0.2)
    stream = chat.chat.completions.create(
        model=OPENAI_MODEL, messages=[{"role": "user", "content": "tell me a story"}], stream=True
    )
    with pytest.raises(openai.APIConnectionError):
        list(stream)
    assert simulator.streams()["expired"] == 1


def test_stalled_stream_does_not_block_other_calls(bedrock: Any, simulator: Running) -> None:
    simulator.inject(stall_after_tokens=0, times=1)
    stalled = bedrock.converse_stream(**STORY)["stream"]
    answered: list[str] = []
    other = threading.Thread(target=lambda: answered.append(bedrock.converse(**STORY)["stopReason"]))
    other.start()
    other.join(timeout=5)
    assert answered == ["end_turn"]
    stalled.close()


def test_reset_clears_faults_counts_and_running_calls(bedrock: Any, simulator: Running) -> None:
    simulator.inject(stall_after_tokens=0)
    stalled = bedrock.converse_stream(**STORY)["stream"]
    simulator.send("POST", "/sim/reset")
    assert bedrock.converse(**STORY)["stopReason"] == "end_turn"
    stalled.close()
    report = simulator.get("/sim/calls")
    assert (report["calls"], report["streams"]["active"], report["streams"]["aborted"]) == (1, 0, 0)

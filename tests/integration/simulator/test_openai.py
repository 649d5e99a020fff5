"""Chat completions, through OpenAI's own client."""

from __future__ import annotations

import json
import time
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam

from tests.integration.simulator.running import OPENAI_MODEL, Running

STORY: list[ChatCompletionMessageParam] = [{"role": "user", "content": "tell me a story"}]
TOOLS: list[ChatCompletionToolParam] = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
    for name in ("production", "north", "south")
]


def test_completion_has_text_usage_and_finish_reason(chat: openai.OpenAI) -> None:
    completion = chat.chat.completions.create(model=OPENAI_MODEL, messages=STORY)
    (choice,) = completion.choices
    assert choice.message.content is not None
    assert choice.message.content.startswith("Once there was a pump")
    assert choice.finish_reason == "stop"
    assert completion.usage is not None
    assert completion.usage.total_tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens


def test_stream_equals_whole_answer_and_reports_usage_on_request(chat: openai.OpenAI) -> None:
    whole = chat.chat.completions.create(model=OPENAI_MODEL, messages=STORY)
    chunks = list(
        chat.chat.completions.create(
            model=OPENAI_MODEL, messages=STORY, stream=True, stream_options={"include_usage": True}
        )
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[-1].usage == whole.usage
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert len(chunks) > 4


def test_stream_without_the_option_has_no_usage(chat: openai.OpenAI) -> None:
    chunks = list(chat.chat.completions.create(model=OPENAI_MODEL, messages=STORY, stream=True))
    assert all(chunk.choices and chunk.usage is None for chunk in chunks)


def test_tool_call_and_its_result_lead_to_the_next_step(chat: openai.OpenAI) -> None:
    messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Show well 4200312345 over 12 months"}]
    first = chat.chat.completions.create(model=OPENAI_MODEL, messages=messages, tools=TOOLS).choices[0]
    assert first.finish_reason == "tool_calls"
    assert first.message.content == "Let me look that up."
    assert first.message.tool_calls is not None
    (call,) = first.message.tool_calls
    assert call.type == "function"
    assert json.loads(call.function.arguments) == {"api": "4200312345", "months": "12"}
    function = {"name": call.function.name, "arguments": call.function.arguments}
    messages.append(
        {"role": "assistant", "tool_calls": [{"id": call.id, "type": "function", "function": function}]}  # type: ignore[typeddict-item]
    )
    messages.append({"role": "tool", "tool_call_id": call.id, "content": '{"barrels": 4711}'})
    second = chat.chat.completions.create(
        model=OPENAI_MODEL, messages=messages, tools=TOOLS, response_format={"type": "json_object"}
    )
    assert json.loads(second.choices[0].message.content or "")["barrels"] == "4711"


def test_streamed_tool_calls_have_distinct_indexes(chat: openai.OpenAI) -> None:
    stream = chat.chat.completions.create(
        model=OPENAI_MODEL, messages=[{"role": "user", "content": "use both tools"}], tools=TOOLS, stream=True
    )
    names: dict[int, str] = {}
    arguments: dict[int, str] = {}
    finish = None
    for chunk in stream:
        finish = chunk.choices[0].finish_reason or finish
        for call in chunk.choices[0].delta.tool_calls or []:
            assert call.function is not None
            names[call.index] = names.get(call.index, "") + (call.function.name or "")
            arguments[call.index] = arguments.get(call.index, "") + (call.function.arguments or "")
    assert names == {0: "north", 1: "south"}
    assert [json.loads(text) for text in arguments.values()] == [{}, {"miles": 3}]
    assert finish == "tool_calls"


@pytest.mark.parametrize(
    ("fault", "error", "code"),
    [
        ({"error": 400}, openai.BadRequestError, None),
        ({"error": 401}, openai.AuthenticationError, "invalid_api_key"),
        ({"error": 404}, openai.NotFoundError, "model_not_found"),
        ({"throttle": {"retry_after": 2.5}}, openai.RateLimitError, "rate_limit_exceeded"),
        ({"error": 500}, openai.InternalServerError, None),
        ({"error": {"status": 503, "code": "busy", "message": "later"}}, openai.InternalServerError, "busy"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_error_has_the_clients_class(
    chat: openai.OpenAI,
    simulator: Running,
    fault: dict[str, Any],
    error: type[openai.APIStatusError],
    code: str,
    stream: bool,
) -> None:
    simulator.inject(**fault)
    with pytest.raises(error) as caught:
        chat.chat.completions.create(model=OPENAI_MODEL, messages=STORY, stream=stream)
    assert type(caught.value) is error
    assert caught.value.code == code
    assert caught.value.request_id is not None


def test_throttled_call_carries_the_retry_time(chat: openai.OpenAI, simulator: Running) -> None:
    simulator.inject(throttle={"retry_after": 2.5})
    with pytest.raises(openai.RateLimitError) as caught:
        chat.chat.completions.create(model=OPENAI_MODEL, messages=STORY)
    headers = caught.value.response.headers
    assert (headers["retry-after"], headers["retry-after-ms"]) == ("3", "2500")


def test_error_in_mid_stream_follows_the_tokens_before_it(chat: openai.OpenAI, simulator: Running) -> None:
    simulator.inject(error_after_tokens=4, error=503, planned="drill")
    with chat.chat.completions.create(model=OPENAI_MODEL, messages=STORY, stream=True) as stream:
        role, text = next(stream), next(stream)
        assert (role.choices[0].delta.role, text.choices[0].delta.content) == ("assistant", "Once there was")
        with pytest.raises(openai.APIError, match="drill"):
            next(stream)


def test_first_token_is_delayed_as_planned(chat: openai.OpenAI, simulator: Running) -> None:
    simulator.inject(latency=150)
    began = time.monotonic()
    for chunk in chat.chat.completions.create(model=OPENAI_MODEL, messages=STORY, stream=True):
        if chunk.choices[0].delta.content:
            assert time.monotonic() - began >= 0.15
            break
    else:
        pytest.fail("no token came")


def test_unsimulated_endpoint_is_refused_with_the_supported_one(chat: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="has chat completions only"):
        chat.responses.create(model=OPENAI_MODEL, input="hello")

"""From a prompt to a reply: matching, steps, captures, structured output, and the honest answer without a rule."""

from __future__ import annotations

import json
from typing import Any

import pytest

from switchyard.devstack.simulators.models.answer import NO_RULE_REPLY, ScriptedAnswer, answer_prompt
from switchyard.devstack.simulators.models.exchange import InvalidModelRequest, Prompt, ReplyBlock, Transcript
from switchyard.devstack.simulators.models.script import ScriptRule


def rules(*given: dict[str, Any]) -> list[ScriptRule]:
    return [ScriptRule.model_validate({"name": f"rule {number}", **one}) for number, one in enumerate(given)]


def asked(
    *messages: tuple[str, ...],
    system: str = "",
    model: str = "m",
    tools: tuple[str, ...] = (),
    wants_json: bool = False,
) -> Prompt:
    transcript = Transcript()
    transcript.system(system)
    for kind, *parts in messages:
        getattr(transcript, kind)(*parts)
    return transcript.prompt(wire="bedrock", model=model, stream=False, tools=tools, wants_json=wants_json)


def reply_text(found: ScriptedAnswer) -> str:
    (block,) = found.reply.blocks
    assert block.tool is None
    return block.text


def called(found: ScriptedAnswer) -> ReplyBlock:
    (block,) = found.reply.blocks
    assert block.tool is not None
    return block


def test_first_matching_rule_answers() -> None:
    script = rules(
        {"when": {"user": "weather"}, "reply": {"text": "rain"}}, {"when": {}, "reply": {"text": "anything"}}
    )
    assert reply_text(answer_prompt(script, asked(("user", "the WEATHER, please")))) == "rain"
    assert reply_text(answer_prompt(script, asked(("user", "the time, please")))) == "anything"


def test_prompt_without_a_rule_gets_a_reply_that_says_so() -> None:
    found = answer_prompt(rules({"when": {"user": "weather"}, "reply": {"text": "rain"}}), asked(("user", "time?")))
    assert (reply_text(found), found.rule, found.problem) == (NO_RULE_REPLY, None, "no rule fits")


def test_prompt_without_a_rule_gets_no_structured_output() -> None:
    found = answer_prompt([], asked(("user", "time?"), tools=("final_result",), wants_json=True))
    assert reply_text(found) == NO_RULE_REPLY
    assert found.reply.stop == "end"


@pytest.mark.parametrize(
    ("when", "fits"),
    [
        ({"model": "us.anthropic.*"}, True),
        ({"model": "gpt-*"}, False),
        ({"wire": "openai"}, False),
        ({"system": "careful"}, True),
        ({"system": "last words"}, False),
        ({"user": "first words"}, False),
        ({"prompt": "first words"}, True),
        ({"prompt": {"contains": ["careful", "last words"]}}, True),
        ({"prompt": {"contains": ["careful", "absent"]}}, False),
        ({"tools": ["a", "b"]}, True),
        ({"tools": ["c"]}, False),
    ],
)
def test_rule_matches_only_if_all_conditions_hold(when: dict[str, Any], fits: bool) -> None:
    prompt = asked(
        ("user", "first words"),
        ("assistant", "yes?"),
        ("user", "last words"),
        system="Be careful.",
        model="us.anthropic.claude",
        tools=("a", "b"),
    )
    assert (answer_prompt(rules({"when": when, "reply": {"text": "x"}}), prompt).rule is not None) is fits


def test_conversation_steps_follow_latest_tool_result() -> None:
    script = rules(
        {"when": {"after_tool": "second"}, "reply": {"text": "after second"}},
        {"when": {"after_tool": "first"}, "reply": {"text": "after first"}},
        {"when": {"after_tool": True}, "reply": {"text": "after another"}},
        {"when": {"after_tool": False}, "reply": {"text": "to begin with"}},
    )
    opening = [("user", "go"), ("assistant", ""), ("call", "1", "first", "{}")]
    then = [*opening, ("result", "1", "one"), ("assistant", ""), ("call", "2", "second", "{}")]
    assert reply_text(answer_prompt(script, asked(*opening))) == "to begin with"
    assert reply_text(answer_prompt(script, asked(*opening, ("result", "1", "one")))) == "after first"
    assert reply_text(answer_prompt(script, asked(*then, ("result", "2", "two")))) == "after second"


def test_new_question_after_tool_results_begins_a_new_turn() -> None:
    script = rules({"when": {"after_tool": False}, "reply": {"text": "new turn"}})
    prompt = asked(("user", "a"), ("assistant", ""), ("call", "1", "t", "{}"), ("result", "1", "ok"), ("user", "b"))
    assert reply_text(answer_prompt(script, prompt)) == "new turn"


def test_tool_result_without_its_call_is_refused() -> None:
    with pytest.raises(InvalidModelRequest, match="which no earlier message makes"):
        asked(("user", "a"), ("result", "9", "ok"))


def test_captures_fill_text_and_arguments() -> None:
    script = rules(
        {
            "when": {"user": {"regex": r"(\w+) costs (?P<price>\d+)"}, "system": {"regex": "for (.+)"}},
            "reply": {
                "text": "$1 at $$$price for $3",
                "tools": [{"name": "buy", "args": {"price": "$price", "deep": [{"item": "a $1"}], "n": 1}}],
            },
        }
    )
    found = answer_prompt(script, asked(("user", "bread costs 4"), system="for the baker", tools=("buy",)))
    text, call = found.reply.blocks
    assert (text.tool, text.text) == (None, "bread at $4 for the baker")
    assert call.tool == "buy"
    assert call.args == {"price": "4", "deep": [{"item": "a bread"}], "n": 1}
    assert json.loads(call.text) == call.args
    assert found.reply.stop == "tools"


def test_prompt_text_is_not_expanded_as_a_placeholder() -> None:
    script = rules({"when": {"user": {"regex": "(?s)(.*)"}}, "reply": {"text": "$1"}})
    assert reply_text(answer_prompt(script, asked(("user", "costs $user and ${x}")))) == "costs $user and ${x}"


@pytest.mark.parametrize(
    ("tools", "tool"), [(("a", "final_result"), "final_result"), (("a", "final_result_Draft"), "final_result_Draft")]
)
def test_structured_output_calls_the_offered_output_tool(tools: tuple[str, ...], tool: str) -> None:
    script = rules({"when": {}, "reply": {"output": {"n": 1}}})
    assert called(answer_prompt(script, asked(("user", "x"), tools=tools))).tool == tool


def test_structured_output_is_json_text_if_json_is_requested() -> None:
    found = answer_prompt(rules({"when": {}, "reply": {"output": {"n": 1}}}), asked(("user", "x"), wants_json=True))
    assert json.loads(reply_text(found)) == {"n": 1}


@pytest.mark.parametrize(
    ("reply", "tools", "reason"),
    [
        ({"tools": [{"name": "fly"}]}, ("walk",), "it calls the tool fly, which the request does not offer"),
        ({"output": {}}, ("final_result_A", "final_result_B"), "say which with output_tool"),
        ({"text": "Pay $250"}, (), "there is no 250"),
    ],
)
def test_rule_that_cannot_be_applied_names_the_reason(
    reply: dict[str, Any], tools: tuple[str, ...], reason: str
) -> None:
    found = answer_prompt(rules({"when": {}, "reply": reply}), asked(("user", "x"), tools=tools))
    assert reason in reply_text(found)
    assert found.problem is not None


def test_reply_is_composed_of_the_findings_in_the_prompt() -> None:
    script = rules(
        {
            "when": {"prompt": "<findings>"},
            "compose": {"sentences": {"block": "findings", "each": "$summary [$id].", "none": "Nothing."}},
            "reply": {"output": {"body": "Dear reader, $sentences"}},
        }
    )
    findings = json.dumps([{"id": "F1", "summary": "Oil is up"}, {"id": "F2", "summary": "Water is down"}])
    system = "The findings are in <findings>, as JSON."
    full = asked(("user", f"<question>?</question><findings>{findings}</findings>"), system=system, wants_json=True)
    body = "Dear reader, Oil is up [F1]. Water is down [F2]."
    assert json.loads(reply_text(answer_prompt(script, full))) == {"body": body}
    empty = asked(("user", "<findings>[]</findings>"), system=system, wants_json=True)
    assert json.loads(reply_text(answer_prompt(script, empty))) == {"body": "Dear reader, Nothing."}


@pytest.mark.parametrize(
    ("block", "reason"),
    [
        ("<findings>[{}]</findings>", "there is no summary"),
        ("<findings>{</findings>", "is not JSON"),
        ("", "has no <f"),
    ],
)
def test_findings_invalid_for_a_reply_are_not_invented(block: str, reason: str) -> None:
    script = rules(
        {
            "when": {},
            "compose": {"sentences": {"block": "findings", "each": "$summary."}},
            "reply": {"text": "$sentences"},
        }
    )
    assert reason in reply_text(answer_prompt(script, asked(("user", block))))

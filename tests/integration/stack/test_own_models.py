"""A model of one's own in the local stack: any server that speaks OpenAI's API, and Bedrock by credentials."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from demo.oil_field.warehouse import oil_field_schema
from latency_failover import LatencyBudget
from services.models import build_agent_model
from services.specialists.text_to_sql.agent import build_sql_agent, propose_query
from services.specialists.text_to_sql.guard_process import GuardProcess
from services.specialists.text_to_sql.warehouse import QueryLimits
from switchyard.devstack.errors import StackError
from switchyard.devstack.stack.endpoints import Endpoints
from switchyard.devstack.stack.local_stack import list_services
from switchyard.devstack.stack.models import (
    PREFIX,
    choose_model,
    describe_models,
    given_model_variables,
    model_environment,
)
from switchyard.runtime.models.clients import ModelSettings

pytestmark = pytest.mark.integration

ENDPOINTS = Endpoints(postgres_port=1, emulator_port=2, simulator_port=3, password="secret")
SQL = "SELECT COUNT(*) AS wells FROM wells"


@pytest.fixture(autouse=True)
def shell() -> Iterator[None]:
    """A shell without model variables and without AWS's, which is as it was afterwards."""
    before = dict(os.environ)
    for name in (*given_model_variables(), *(name for name in os.environ if name.startswith("AWS_"))):
        del os.environ[name]
    os.environ |= {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    yield
    os.environ.clear()
    os.environ |= before


class Server:
    """A model server of somebody else's: it streams one tool call, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.asked.append(request)
                outer.keys.append(self.headers["Authorization"])
                arguments = json.dumps({"sql": SQL, "explanation": "Counts."})
                call = {"index": 0, "id": "call-1", "type": "function"}
                function = {"name": "final_result_SqlAnswer", "arguments": arguments}
                head = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": request["model"]}
                chunks: list[dict[str, Any]] = [
                    {
                        "choices": [
                            {"index": 0, "delta": {"role": "assistant", "tool_calls": [{**call, "function": function}]}}
                        ]
                    },
                    {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]},
                    {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}},
                ]
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.end_headers()
                for chunk in chunks:
                    self.wfile.write(b"data: " + json.dumps(head | chunk).encode() + b"\n\n")
                self.wfile.write(b"data: [DONE]\n\n")

            def log_message(self, *_: object) -> None: ...

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=self.http.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.http.shutdown()
    made.http.server_close()


def agents_settings() -> ModelSettings:
    """What an agent's process of the stack reads: its own environment, and nothing of the shell's."""
    (agent,) = (service for service in list_services(ENDPOINTS) if service.name == "text_to_sql")
    shell = {name: os.environ.pop(name) for name in given_model_variables()}
    given = {name: value for name, value in agent.env.items() if name.startswith(PREFIX)}
    os.environ |= given
    settings = ModelSettings()
    for name in given:
        del os.environ[name]
    os.environ |= shell
    return settings


async def test_agent_of_the_stack_asks_the_given_server_with_the_given_key(server: Server) -> None:
    os.environ["MY_KEY"] = "sk-own"
    choose_model("llama-local", url=server.url, key_variable="MY_KEY")
    model = build_agent_model("text_to_sql", agents_settings(), policy_version="test/1")
    guard = GuardProcess(oil_field_schema())
    try:
        with model.budget(LatencyBudget(total_ms=20_000)) as record:
            agent = build_sql_agent(model, oil_field_schema())
            found = await propose_query("How many?", agent=agent, check=guard.check, limits=QueryLimits())
    finally:
        await guard.close()
    assert found.query is not None
    assert [(each.vendor, each.model_id) for each in record.decisions] == [("openai", "llama-local")]
    assert ([each["model"] for each in server.asked], server.keys) == (["llama-local"], ["Bearer sk-own"])
    assert describe_models(ENDPOINTS) == f"openai llama-local (at {server.url}), no fallback"
    assert "sk-own" not in describe_models(ENDPOINTS)


def test_without_a_choice_agents_ask_the_simulator_and_it_says_so() -> None:
    settings = agents_settings()
    assert (settings.bedrock_endpoint_url, settings.openai_base_url) == ("http://127.0.0.1:3", "http://127.0.0.1:3/v1")
    assert settings.ttft_limit_ms == 1_500
    assert describe_models(ENDPOINTS).count("(simulated)") == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OPENAI_BASE_URL", "http://127.0.0.1:9/v1"),
        ("OPENAI_API_KEY", "sk-own"),
        ("OPENAI_ID", "own"),
        ("BEDROCK_ID", "own"),
        ("BEDROCK_ENDPOINT_URL", "http://127.0.0.1:9"),
        ("TTFT_LIMIT_MS", "60000"),
        ("PRIMARY", "openai"),
        ("POLICIES", '{"policies": []}'),
    ],
)
def test_variable_of_the_shell_reaches_the_agents_as_it_is(name: str, value: str) -> None:
    os.environ[PREFIX + name] = value
    (agent,) = (service for service in list_services(ENDPOINTS) if service.name == "drafter")
    assert agent.env[PREFIX + name] == value


def test_own_key_without_an_address_goes_to_the_vendor() -> None:
    os.environ[f"{PREFIX}OPENAI_API_KEY"] = "sk-own"
    used = model_environment(ENDPOINTS)
    assert used[f"{PREFIX}OPENAI_BASE_URL"] == ""
    assert used[f"{PREFIX}BEDROCK_ENDPOINT_URL"] == "http://127.0.0.1:3"
    assert "openai gpt-5.2 (at the vendor)" in describe_models(ENDPOINTS)


def test_bedrock_is_reached_with_the_shells_credentials_past_the_emulator() -> None:
    os.environ |= {
        "AWS_ACCESS_KEY_ID": "AKIDOWN",
        "AWS_SECRET_ACCESS_KEY": "own-secret",
        "AWS_DEFAULT_REGION": "eu-west-1",
    }
    choose_model("bedrock:eu.anthropic.own")
    settings = agents_settings()
    model = build_agent_model("drafter", settings, policy_version="test/1").models[0]
    client: Any = model.client  # type: ignore[attr-defined]
    assert client.meta.endpoint_url == "https://bedrock-runtime.eu-west-1.amazonaws.com"
    assert client._request_signer._credentials.access_key == "AKIDOWN"
    assert model.model_name == "eu.anthropic.own"
    described = describe_models(ENDPOINTS)
    assert "bedrock eu.anthropic.own (at https://bedrock-runtime.eu-west-1.amazonaws.com), no fallback" in described
    assert "own-secret" not in described


@pytest.mark.parametrize(
    ("given", "shell_has", "named"),
    [
        ({"model": "llama"}, {}, "--model-url"),
        ({"model": "llama", "url": "localhost:11434"}, {}, "is not an address"),
        ({"model": "llama", "url": "http://x/v1", "key_variable": "NOT_SET"}, {}, "NOT_SET is not set"),
        ({"model": "bedrock:x", "url": "http://x/v1"}, {}, "leave --model-url"),
        ({"model": "bedrock:x"}, {}, "no AWS credentials"),
        ({"model": "bedrock:x"}, {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}, "no AWS region"),
        ({"model": "llama", "url": "http://x/v1"}, {f"{PREFIX}OPENAI_ID": "other"}, "SWITCHYARD_MODEL_OPENAI_ID"),
    ],
)
def test_choice_that_cannot_be_made_says_what_is_missing(
    given: dict[str, str], shell_has: dict[str, str], named: str
) -> None:
    os.environ |= shell_has
    with pytest.raises(StackError, match=named):
        choose_model(**given)

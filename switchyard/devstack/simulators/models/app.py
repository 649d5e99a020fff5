"""The simulator as an ASGI application: two wires in front, one script behind."""

from __future__ import annotations

from collections.abc import Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from switchyard.devstack.simulators.models import bedrock, openai_wire
from switchyard.devstack.simulators.models.admin import admin_routes
from switchyard.devstack.simulators.models.answer import answer_prompt
from switchyard.devstack.simulators.models.calls import CallLog
from switchyard.devstack.simulators.models.connection import OpenConnections
from switchyard.devstack.simulators.models.delivery import SCRIPTED_HEADER, ResponseDelivery
from switchyard.devstack.simulators.models.exchange import InvalidModelRequest, Prompt
from switchyard.devstack.simulators.models.faults import FaultBoard
from switchyard.devstack.simulators.models.plan import FailureResponse
from switchyard.devstack.simulators.models.script import SimulatorScript
from switchyard.devstack.simulators.models.wire import HttpAnswer, WireFormat


class ModelSimulator:
    """The state of one simulator: its script, the faults in force and the book of calls."""

    def __init__(self, script: SimulatorScript) -> None:
        self.script = script
        self.faults = FaultBoard()
        self.book = CallLog()
        self._connections = OpenConnections()

    def stop(self) -> None:
        """Let go of every call that is waiting."""
        self._connections.stop()

    def respond(self, prompt: Prompt, wire: WireFormat) -> ResponseDelivery:
        """The response to a prompt, in the words of the script and as the faults in force have it."""
        found = answer_prompt(self.script.rules, prompt)
        course = self.faults.decide(prompt, found.rule_name, found.rule.fault if found.rule else None)
        call = self.book.begin(prompt, rule=found.rule_name, fault=course.planned, scripted=found.problem is None)
        return ResponseDelivery(wire, prompt, found.reply, course, call, book=self.book, connections=self._connections)


def build_simulator_app(simulator: ModelSimulator) -> ASGIApp:
    """The application for a simulator."""

    async def converse(request: Request) -> ASGIApp:
        return await _bedrock(request, stream=False)

    async def converse_stream(request: Request) -> ASGIApp:
        return await _bedrock(request, stream=True)

    async def _bedrock(request: Request, *, stream: bool) -> ASGIApp:
        try:
            prompt = bedrock.read_converse_request(request.path_params["model"], await request.body(), stream=stream)
        except InvalidModelRequest as reason:
            return _refused(bedrock.bedrock_error_response, 400, str(reason))
        return simulator.respond(prompt, bedrock.BedrockWire())

    async def chat(request: Request) -> ASGIApp:
        try:
            prompt, include_usage = openai_wire.read_chat_request(await request.body())
        except InvalidModelRequest as reason:
            return _refused(openai_wire.openai_error_response, 400, str(reason))
        return simulator.respond(prompt, openai_wire.OpenAIWire(prompt, include_usage=include_usage))

    async def models(_: Request) -> Response:
        listed = [
            {"id": model, "object": "model", "created": 0, "owned_by": "model-simulator"}
            for model in simulator.script.models
        ]
        return JSONResponse({"object": "list", "data": listed})

    async def not_bedrock(_: Request) -> ASGIApp:
        return _refused(
            bedrock.bedrock_error_response, 404, "The model simulator has Converse and ConverseStream only."
        )

    async def not_openai(_: Request) -> ASGIApp:
        return _refused(
            openai_wire.openai_error_response,
            404,
            "The model simulator has chat completions and the list of models only.",
        )

    return Starlette(
        routes=[
            # The id may be an ARN: clients escape its slashes, and the server undoes that.
            Route("/model/{model:path}/converse", converse, methods=["POST"]),
            Route("/model/{model:path}/converse-stream", converse_stream, methods=["POST"]),
            Route("/v1/chat/completions", chat, methods=["POST"]),
            Route("/v1/models", models),
            *admin_routes(simulator.script, simulator.faults, simulator.book),
            Route("/model/{rest:path}", not_bedrock, methods=["GET", "POST"]),
            Route("/v1/{rest:path}", not_openai, methods=["GET", "POST"]),
        ]
    )


def _refused(refusal: Callable[[FailureResponse], HttpAnswer], status: int, message: str) -> Response:
    answered = refusal(FailureResponse(status, message=message))
    headers = {**answered.headers, SCRIPTED_HEADER: "scripted"}
    return Response(answered.body, answered.status, headers, media_type="application/json")

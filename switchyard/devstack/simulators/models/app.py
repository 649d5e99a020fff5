"""The simulator as an ASGI application: two wires in front, one script behind, and its own pages under /sim."""

from __future__ import annotations

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from switchyard.devstack.simulators.models.answer import NOT_SCRIPTED, answer_prompt
from switchyard.devstack.simulators.models.bedrock import BedrockWire, read_converse_request
from switchyard.devstack.simulators.models.calls import RecordedCall, report_calls
from switchyard.devstack.simulators.models.delivery import SCRIPTED_HEADER, ResponseDelivery, WireFormat
from switchyard.devstack.simulators.models.embeddings import embed_text, is_embedding_model
from switchyard.devstack.simulators.models.exchange import InvalidModelRequest, Prompt
from switchyard.devstack.simulators.models.faults import FaultBoard, FaultDecision, InjectedFault
from switchyard.devstack.simulators.models.openai_wire import OpenAIWire, read_chat_request
from switchyard.devstack.simulators.models.plan import FailureResponse, ResponsePlan
from switchyard.devstack.simulators.models.script import SimulatorScript


class ModelSimulator:
    """One simulator: its script, the faults in force, and its calls."""

    def __init__(self, script: SimulatorScript) -> None:
        self.script = script
        self.faults = FaultBoard()
        self.calls: list[RecordedCall] = []

    def app(self) -> ASGIApp:
        """The application."""
        post, rest = ["POST"], ["GET", "POST"]
        return Starlette(
            routes=[
                # The id may be an ARN: clients escape its slashes, and the server undoes that.
                Route("/model/{model:path}/converse", self._converse, methods=post),
                Route("/model/{model:path}/converse-stream", self._converse, methods=post, name="stream"),
                Route("/model/{model:path}/invoke", self._invoke, methods=post),
                Route("/v1/chat/completions", self._chat, methods=post),
                Route("/sim/health", self._health),
                Route("/sim/calls", self._calls),
                Route("/sim/reset", self._reset, methods=post),
                Route("/sim/faults", self._inject, methods=post),
                Route("/sim/faults/{fault_id:int}", self._remove_fault, methods=["DELETE"]),
                Route("/model/{rest:path}", self._not_simulated, methods=rest),
                Route("/v1/{rest:path}", self._not_simulated, methods=rest),
            ]
        )

    async def _converse(self, request: Request) -> ASGIApp:
        stream = request.url.path.endswith("-stream")
        try:
            prompt = read_converse_request(request.path_params["model"], await request.body(), stream=stream)
        except InvalidModelRequest as reason:
            return _refuse(BedrockWire(), 400, str(reason))
        return self._respond(prompt, BedrockWire())

    async def _invoke(self, request: Request) -> Response:
        model = request.path_params["model"]
        if not is_embedding_model(model):
            return _refuse(BedrockWire(), 404, "The model simulator has InvokeModel for Titan's embeddings only.")
        try:
            found = await run_in_threadpool(embed_text, await request.body())
        except InvalidModelRequest as reason:
            return _refuse(BedrockWire(), 400, str(reason))
        return Response(found, media_type="application/json")

    async def _chat(self, request: Request) -> ASGIApp:
        try:
            prompt, include_usage = read_chat_request(await request.body())
        except InvalidModelRequest as reason:
            return _refuse(OpenAIWire(), 400, str(reason))
        return self._respond(prompt, OpenAIWire(prompt.model, include_usage=include_usage))

    def _respond(self, prompt: Prompt, wire: WireFormat) -> ResponseDelivery:
        """The response to a prompt, as the script says and the faults in force have it."""
        found = answer_prompt(self.script.rules, prompt)
        rule = found.rule.name if found.rule else None
        decision = self.faults.decide(prompt, rule, found.rule.fault if found.rule else None)
        scripted = found.problem is None
        if not scripted and decision.planned is None:
            why = found.reply.blocks[0].text
            decision = FaultDecision(ResponsePlan(failure=FailureResponse(400, code=NOT_SCRIPTED, message=why)))
        call = RecordedCall(prompt.wire, prompt.model, rule, prompt.stream, decision.planned, scripted)
        self.calls.append(call)
        return ResponseDelivery(wire, prompt, found.reply, decision, call)

    async def _not_simulated(self, request: Request) -> Response:
        if request.url.path.startswith("/v1/"):
            return _refuse(OpenAIWire(), 404, "The model simulator has chat completions only.")
        return _refuse(BedrockWire(), 404, "The model simulator has Converse, ConverseStream and embeddings only.")

    async def _health(self, _: Request) -> Response:
        return JSONResponse({"status": "ok", "simulator": "scripted", "rules": len(self.script.rules)})

    async def _inject(self, request: Request) -> Response:
        try:
            fault = InjectedFault.model_validate_json(await request.body())
        except ValidationError as error:
            problems = (
                f"{'.'.join(map(str, problem['loc'])) or 'the fault'}: {problem['msg'].removeprefix('Value error, ')}"
                for problem in error.errors(include_url=False)
            )
            return JSONResponse({"error": "; ".join(problems)}, 422)
        return JSONResponse({"id": self.faults.inject(fault)}, 201)

    async def _remove_fault(self, request: Request) -> Response:
        return Response(status_code=204 if self.faults.remove(request.path_params["fault_id"]) else 404)

    async def _calls(self, _: Request) -> Response:
        return JSONResponse(report_calls(self.calls))

    async def _reset(self, _: Request) -> Response:
        """Forget faults and calls, also those that still run."""
        self.faults = FaultBoard()
        self.calls = []
        return Response(status_code=204)


def _refuse(wire: WireFormat, status: int, message: str) -> Response:
    status, body, headers = wire.error(FailureResponse(status, message=message))
    return Response(body, status, {**headers, SCRIPTED_HEADER: "scripted"}, media_type="application/json")

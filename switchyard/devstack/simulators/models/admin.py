"""The simulator's own pages: what it knows, what shall go wrong, and what it was asked."""

from __future__ import annotations

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from switchyard.devstack.simulators.models.calls import CallLog
from switchyard.devstack.simulators.models.faults import FaultBoard, InjectedFault
from switchyard.devstack.simulators.models.script import SimulatorScript

SIMULATOR_DESCRIPTION = (
    "A scripted simulator: no model runs here. It answers what its rules say, and says so when no rule fits. "
    "It proves plumbing, failover and gates, not a model's wit."
)


def admin_routes(script: SimulatorScript, faults: FaultBoard, book: CallLog) -> list[Route]:
    """The routes under /sim."""

    async def health(_: Request) -> Response:
        return JSONResponse({"status": "ok", "simulator": "scripted", "rules": len(script.rules)})

    async def show_script(_: Request) -> Response:
        rules = [
            {
                "name": rule.name,
                "about": rule.about,
                "when": rule.when.model_dump(mode="json", exclude_defaults=True),
                "replies_with": rule.reply.kind,
                "fault": rule.fault.model_dump(mode="json", exclude_unset=True) if rule.fault else None,
            }
            for rule in script.rules
        ]
        return JSONResponse({"about": SIMULATOR_DESCRIPTION, "models": list(script.models), "rules": rules})

    async def show_faults(_: Request) -> Response:
        return JSONResponse({"faults": faults.list_faults()})

    async def inject(request: Request) -> Response:
        try:
            fault = InjectedFault.model_validate_json(await request.body())
        except ValidationError as error:
            problems = [
                f"{'.'.join(map(str, problem['loc'])) or 'the fault'}: {problem['msg'].removeprefix('Value error, ')}"
                for problem in error.errors(include_url=False)
            ]
            return JSONResponse({"error": "; ".join(problems)}, 422)
        return JSONResponse({"id": faults.inject(fault)}, 201)

    async def remove_all(_: Request) -> Response:
        faults.clear()
        return Response(status_code=204)

    async def remove(request: Request) -> Response:
        return Response(status_code=204 if faults.remove(request.path_params["fault_id"]) else 404)

    async def calls(_: Request) -> Response:
        return JSONResponse(book.report())

    async def reset(_: Request) -> Response:
        faults.clear()
        book.reset()
        return Response(status_code=204)

    return [
        Route("/sim/health", health),
        Route("/sim/script", show_script),
        Route("/sim/faults", show_faults),
        Route("/sim/faults", inject, methods=["POST"]),
        Route("/sim/faults", remove_all, methods=["DELETE"]),
        Route("/sim/faults/{fault_id:int}", remove, methods=["DELETE"]),
        Route("/sim/calls", calls),
        Route("/sim/reset", reset, methods=["POST"]),
    ]

"""Checks of the evaluated configuration: the JSON texts that terraform composes and AWS reads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import botocore.session
from botocore.validate import ParamValidator

Resource = dict[str, Any]


def resources(output: str) -> Iterator[Resource]:
    """Every resource in the state that `terraform test -json -verbose` prints. Raises `ValueError` without a state."""
    states = [line["test_state"] for line in map(json.loads, output.splitlines()) if line["type"] == "test_state"]
    if not states:
        raise ValueError("the output of terraform test has no state: run it with -json -verbose")
    yield from _within(states[-1]["root_module"])


def _within(module: dict[str, Any]) -> Iterator[Resource]:
    yield from (each for each in module.get("resources", ()) if each["mode"] == "managed")
    for child in module.get("child_modules", ()):
        yield from _within(child)


def problems(found: list[Resource]) -> Iterator[str]:
    """Errors that AWS would report for containers, rules, dashboards and policies."""
    for resource in found:
        where, values = resource["address"], resource["values"]
        match resource["type"]:
            case "aws_ecs_task_definition":
                yield from _containers(where, json.loads(values["container_definitions"]))
            case "aws_cloudwatch_event_rule":
                yield from _pattern(where, json.loads(values["event_pattern"]))
            case "aws_cloudwatch_dashboard":
                yield from _dashboard(where, json.loads(values["dashboard_body"]))
            case "aws_iam_role_policy" if values["name"] == "generated":
                if "${" in values["policy"] or not json.loads(values["policy"])["Statement"]:
                    yield f"{where}: a fact without a value"


def _containers(where: str, containers: list[Any]) -> Iterator[str]:
    model = botocore.session.Session().get_service_model("ecs")
    shape = model.operation_model("RegisterTaskDefinition").input_shape
    report = ParamValidator().validate({"family": "x", "containerDefinitions": containers}, shape)
    if report.has_errors():
        yield f"{where}: {report.generate_report()}"
    for container in containers:
        if "@sha256:" not in container["image"]:
            yield f"{where}: the image is not named by its digest"


def _pattern(where: str, pattern: dict[str, Any]) -> Iterator[str]:
    known = {"source", "detail-type", "detail", "replay-name"}
    if not pattern.keys() <= known or "source" not in pattern:
        yield f"{where}: a pattern on {sorted(pattern)}"


def _dashboard(where: str, body: dict[str, Any]) -> Iterator[str]:
    for widget in body["widgets"]:
        wants = {"log": "query", "metric": "metrics"}.get(widget["type"])
        if wants is None or not widget["properties"].get(wants) or widget["x"] + widget["width"] > 24:
            yield f"{where}: a widget without content, or wider than a dashboard"
        if widget["type"] == "log" and not widget["properties"]["query"].startswith("SOURCE '"):
            yield f"{where}: a query without a log group"

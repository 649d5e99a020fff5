"""`python -m bench.capacity`: print docs/operate/capacity.md's tables, from the catalogue and prices.toml."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hcl2.api import loads

from bench.capacity.cases import CasePath, list_case_paths
from services.app import APP
from switchyard.infra.generate import GENERATED_FOLDER, topology

PRICES_FILE = tomllib.loads(Path(__file__).with_name("prices.toml").read_text())
PRICE_USD: dict[str, float] = {name: entry["usd"] for name, entry in PRICES_FILE["price"].items()}
QUOTA_PER_SECOND: dict[str, float] = {name: entry["value"] for name, entry in PRICES_FILE["quota"].items()}
ASSUMPTIONS: dict[str, float] = PRICES_FILE["assumed"]
HOURS_PER_MONTH: float = PRICES_FILE["month"]["hours"]
SENT_RECEIVED_DELETED = 3
"""Requests for a message, one by one. In batches of ten the last two are a tenth."""


def cost_per_million(way: CasePath) -> dict[str, float]:
    """What a million cases cost, in dollars, by what is paid for."""
    calls = way.model_calls
    return {
        "EventBridge": way.events * PRICE_USD["event_million"],
        "SQS": way.messages * SENT_RECEIVED_DELETED * PRICE_USD["sqs_million"],
        # A key of a person is unwrapped once a process and half a minute: at most once a task.
        "KMS": (len(way.steps) + 1) * PRICE_USD["kms_million"],
        "traces and logs": (
            ASSUMPTIONS["spans_per_step"] * ASSUMPTIONS["span_bytes"] * PRICE_USD["span_gb"]
            + ASSUMPTIONS["log_bytes_per_step"] * PRICE_USD["log_gb"]
        )
        * way.events
        / 1e9
        * 1e6,
        "figures' log": calls * ASSUMPTIONS["event_bytes"] / 1e9 * 1e6 * PRICE_USD["log_gb"],
        "SES": PRICE_USD["email_million"] if any(step.node == "email_sender" for step in way.steps) else 0.0,
        "models": calls
        * (
            ASSUMPTIONS["input_tokens_per_call"] * PRICE_USD["input_million"]
            + ASSUMPTIONS["output_tokens_per_call"] * PRICE_USD["output_million"]
        ),
    }


def idle_cost(environment: str) -> dict[str, float]:
    """What a month without a case costs, in dollars, from the environment's own values."""
    text = (GENERATED_FOLDER.parent / f"{environment}.tfvars").read_text()
    values: dict[str, Any] = loads(text)
    consumers = topology(APP)["consumers"]
    sizes = {
        node: values["sizes"].get(node, values["agent_size" if consumer["calls_models"] else "default_size"])
        for node, consumer in consumers.items()
    }
    sizes |= {node: values["sizes"].get(node, values["default_size"]) for node in topology(APP)["servers"]}
    # One for opt-out pages, and one for each server that people or callers reach.
    load_balancers = 1 + sum(server in values for server in topology(APP)["servers"])
    nats = values["zones"] if values["firewall"] else 1
    zones, modules = values["zones"], GENERATED_FOLDER.parent / "modules"
    databases = 2 if values["multi_az"] else 1
    keys = len(re.findall(r'resource "aws_kms_key"', "".join(_sources(modules)))) + 1  # the database's is used twice
    rules = sum(len(consumer["rules"]) for consumer in consumers.values())

    def task(cpu: float, memory: float) -> float:
        return HOURS_PER_MONTH * (
            cpu / 1024 * PRICE_USD["fargate_vcpu_hour"] + memory / 1024 * PRICE_USD["fargate_gb_hour"]
        )

    return {
        "Fargate": sum(size["fewest"] * task(size["cpu"], size["memory"]) for size in sizes.values())
        * (ASSUMPTIONS["spot_share"] if values["spot"] else 1)
        + values["collectors"] * task(256, 512),
        "RDS": sum(
            databases
            * (
                HOURS_PER_MONTH * PRICE_USD[values[name]["instance_class"].strip('"')]
                + values[name]["storage_gb"] * PRICE_USD["storage_gb_month"]
            )
            for name in ("work_db", "audit_db")
        ),
        "endpoints": _interfaces(modules) * values["endpoint_zones"] * HOURS_PER_MONTH * PRICE_USD["endpoint_hour"],
        "firewall and NAT": HOURS_PER_MONTH
        * nats
        * (PRICE_USD["nat_hour"] + (PRICE_USD["firewall_hour"] if values["firewall"] else 0)),
        # Of each NAT, and of the load balancer in each zone.
        "public addresses": HOURS_PER_MONTH * (nats + zones) * PRICE_USD["address_hour"],
        "Container Insights": values["container_insights"]
        * (len(sizes) + 1)
        * ASSUMPTIONS["insights_series_per_service"]
        * PRICE_USD["metric_month"],
        "load balancers and WAF": HOURS_PER_MONTH * load_balancers * PRICE_USD["load_balancer_hour"]
        + 2 * PRICE_USD["web_acl_month"],
        "keys, secrets, alarms, dashboards": keys * PRICE_USD["key_month"]
        + len(topology(APP)["secrets"]) * PRICE_USD["secret_month"]
        + (5 * len(consumers) + 2 * rules + 40) * PRICE_USD["alarm_month"]
        + PRICE_USD["dashboard_month"],
    }


def binding_quotas(way: CasePath) -> list[tuple[float, str]]:
    """Cases a second at which each quota binds, the first one first."""
    delivered = way.messages + way.model_calls + 1  # the figures' two rules deliver, too
    found = [
        (QUOTA_PER_SECOND["put_events_per_s"] / way.events, "PutEvents"),
        (QUOTA_PER_SECOND["invocations_per_s"] / delivered, "EventBridge deliveries"),
    ]
    if way.model_calls:
        tokens = way.model_calls * (ASSUMPTIONS["input_tokens_per_call"] + ASSUMPTIONS["output_tokens_per_call"])
        found.append((QUOTA_PER_SECOND["model_tokens_per_min"] / 60 / tokens, "Bedrock tokens"))
    if any(step.node == "email_sender" for step in way.steps):
        found.append((float(QUOTA_PER_SECOND["ses_per_s"]), "SES sending rate"))
    return sorted(found)


def _sources(modules: Path) -> Iterator[str]:
    return (path.read_text() for path in sorted(modules.rglob("*.tf")))


def _interfaces(modules: Path) -> int:
    text = (modules / "network" / "endpoints.tf").read_text()
    return len(re.findall(r'"[a-z][a-z.-]+"', text[text.index("toset([") : text.index("])")]))


def capacity_report() -> str:
    """The tables."""
    lines = [f"Prices and quotas as of {PRICES_FILE['as_of']}, us-east-1.", ""]
    lines += ["| way | steps | events | messages | model calls |", "|---|---|---|---|---|"]
    lines += [
        f"| {way.playbook} | {', '.join(step.name for step in way.steps)} | {way.events} | {way.messages} | "
        f"{way.model_calls} |"
        for way in list_case_paths()
    ]
    lines += ["", "A million cases, in dollars:", ""]
    names = list(cost_per_million(list_case_paths()[0]))
    lines += [f"| way | {' | '.join(names)} | without models |", "|---" * (len(names) + 2) + "|"]
    for way in list_case_paths():
        costs = cost_per_million(way)
        figures = " | ".join(f"{cost:,.0f}" for cost in costs.values())
        without = sum(costs.values()) - costs["models"]
        lines.append(f"| {way.playbook}, {len(way.steps)} steps | {figures} | {without:,.0f} |")
    lines += ["", "A month without a case, in dollars:", "", "| | dev | prod |", "|---|---|---|"]
    dev, prod = idle_cost("dev"), idle_cost("prod")
    lines += [f"| {name} | {dev[name]:,.0f} | {prod[name]:,.0f} |" for name in dev]
    lines += [f"| **all** | **{sum(dev.values()):,.0f}** | **{sum(prod.values()):,.0f}** |"]
    lines += ["", "Cases a second at which a quota binds, the first one first:", "", "| way | |", "|---|---|"]
    lines += [
        f"| {way.playbook}, {len(way.steps)} steps | "
        + ", ".join(f"{name} {rate:,.1f}" for rate, name in binding_quotas(way))
        + " |"
        for way in list_case_paths()
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(capacity_report(), end="")

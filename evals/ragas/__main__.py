"""`make evals-ragas`: the assistant answers questions of the Text-to-SQL set, and ragas scores the answers."""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from evals.scripts import SUITE_SCRIPTS
from switchyard.evals.models import SIMULATOR_MODEL, open_simulator, openai_chat_model

HERE = Path(__file__).parent
DRAFTER_SCRIPT = HERE.parents[1] / "demo" / "data" / "simulator" / "drafter.yaml"
REPORT = Path(".switchyard") / "evals" / "ragas.json"
METRICS = ("faithfulness", "answer_relevancy")
EMBEDDING = "amazon.titan-embed-text-v2:0"
SIMULATED_KEYS = {"aws_access_key_id": "simulator", "aws_secret_access_key": "simulator"}


async def collect_samples(model: Any, most: int) -> list[dict[str, Any]]:
    """Question, findings and answer of the first questions that a query answers, by the agents' own code."""
    from demo.oil_field.warehouse import oil_field_schema, open_warehouse
    from evals.cases import sql_cases
    from evals.sql_suite import SQL_LIMITS
    from evals.suites import local_warehouse
    from services.drafter.agent import build_answer_agent, write_answer
    from services.specialists.text_to_sql.agent import build_sql_agent, query_answer
    from services.specialists.text_to_sql.guard_process import GuardProcess
    from switchyard.runtime.core.errors import TaskError

    simulated, schema = open_warehouse(), oil_field_schema()
    guard, warehouse = GuardProcess(schema), local_warehouse(simulated, schema)
    asking, writing = build_sql_agent(model, schema), build_answer_agent(model)
    samples: list[dict[str, Any]] = []
    try:
        for case in [each for each in sql_cases() if each.gold][:most]:
            try:
                findings = await query_answer(
                    case.question, agent=asking, check=guard.check, warehouse=warehouse, schema=schema,
                    case_id=case.id, role=case.role, limits=SQL_LIMITS,
                )  # fmt: skip
                found = findings.model_dump(mode="json") | {"id": "F1"}
                answer = await write_answer(writing, case.question, [found])
            except TaskError as error:
                print(f"{case.id}: no answer to score ({error.code})", file=sys.stderr)
                continue
            contexts = [json.dumps({name: found[name] for name in ("summary", "columns", "rows", "sql")})]
            samples.append({"id": case.id, "question": case.question, "answer": answer.text, "contexts": contexts})
    finally:
        await guard.close()
        simulated.close()
    return samples


def score_samples(python: str, samples: Sequence[dict[str, Any]], settings: dict[str, Any]) -> list[dict[str, Any]]:
    """What ragas says of them, in its own environment. Raises `CalledProcessError`, whose text it has printed."""
    given = json.dumps({"samples": samples, "settings": settings})
    # Its own telemetry is off, and it sees nothing of this environment's modules.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {
        "RAGAS_DO_NOT_TRACK": "true"
    }
    done = subprocess.run(  # noqa: S603 - our own script
        [python, str(HERE / "score.py")], input=given, stdout=subprocess.PIPE, text=True, check=True, env=environment
    )
    scores: list[dict[str, Any]] = json.loads(done.stdout)
    return scores


def format_report(scores: Sequence[dict[str, Any]], model: str) -> str:
    """The means, how many answers have none, and what the figures are worth."""
    lines = []
    for metric in METRICS:
        known = [each[metric] for each in scores if isinstance(each[metric], float) and math.isfinite(each[metric])]
        mean = f"{fmean(known):.3f}" if known else "none"
        lines.append(f"{metric}: {mean} over {len(known)} answers; {len(scores) - len(known)} without a figure")
    if model == SIMULATOR_MODEL:
        lines.append("The simulator's answers to ragas are scripted: these figures show that the wires fit, no more.")
    return "\n".join((*lines, "Reported, no gate: a model scores a model."))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m evals.ragas", description=__doc__)
    parser.add_argument("--python", default=".venv-ragas/bin/python", help="the interpreter of ragas' environment")
    parser.add_argument("--model", default=SIMULATOR_MODEL, help="a model of --base-url, or the simulator")
    parser.add_argument("--base-url", help="an OpenAI-compatible server")
    parser.add_argument("--questions", type=int, default=12)
    given = parser.parse_args(arguments)
    if given.model != SIMULATOR_MODEL and given.base_url is None:
        parser.error(f"--model {given.model}: --base-url is missing; name the server that has it")
    if not Path(given.python).exists():
        parser.error(f"--python {given.python} does not exist: run `make evals-ragas`, which makes the environment")
    scripts = (HERE / "simulator.yaml", *SUITE_SCRIPTS, DRAFTER_SCRIPT)
    with open_simulator(scripts) as simulator:
        simulated = given.model == SIMULATOR_MODEL
        base_url = f"{simulator}/v1" if simulated else given.base_url
        name = "gpt-5.2" if simulated else given.model
        samples = asyncio.run(collect_samples(openai_chat_model(name, base_url), given.questions))
        if not samples:
            print("no answer to score")
            return 1
        # Vectors of the simulator are those of small embeddings: without an account they do for the comparison.
        region = os.environ.get("AWS_REGION") or "us-east-1"
        bedrock = {"endpoint_url": simulator, **SIMULATED_KEYS} if simulated or not os.environ.get("AWS_REGION") else {}
        settings = {"model": name, "base_url": base_url, "embedding": EMBEDDING}
        settings["bedrock"] = {"region_name": region, **bedrock}
        scores = score_samples(given.python, samples, settings)
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(json.dumps({"model": given.model, "scores": scores}, indent=2) + "\n", encoding="utf-8")
    print(format_report(scores, given.model))
    return 0


if __name__ == "__main__":
    sys.exit(main())

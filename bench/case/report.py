"""The page of the bench: bench/results/case.md."""

from __future__ import annotations

from typing import Any

from bench.case.figures import OURS_NAME

TITLES = {
    OURS_NAME: "Switchyard: every process",
    "saver": "LangGraph, AsyncPostgresSaver, an audit row per node",
    "langgraph": "LangGraph, an audit row per node",
    "bare": "the agents alone",
}
APART = "identity"
"""The process that checks grants and exchanges tokens: no other contender does that."""


def case_markdown(found: dict[str, Any]) -> str:
    """The page."""
    conditions, summary, memory = found["conditions"], found["summary"], found["memory_mb"]
    questions = conditions["questions"]
    loads = ", ".join(f"{each:g}" for each in conditions["load_1m"])
    rows = [
        f"| {TITLES[name]} | {each['cpu_ms']:.0f} | {each['cpu_ratio']:.2f} | {questions / each['seconds']:.1f} | "
        f"{each['pace_ratio']:.2f} | {found['idle']['case_ms'][name]:.0f} | {sum(each['shared_cpu_ms'].values()):.0f} |"
        for name, each in summary.items()
    ]
    ours = summary[OURS_NAME]["cpu_ms_by_process"]
    resting = found["at_rest_percent"]
    parts = [
        f"| {name} | {spent:.1f} | {memory[name]:.0f} | {resting[name]:.1f} |"
        for name, spent in sorted(ours.items(), key=lambda each: -each[1])
    ]
    others = ", ".join(f"{TITLES[name]} {memory[name]:.0f}" for name in TITLES if name in memory)
    return "\n".join(
        [
            "# What an answered case costs",
            "",
            f"`make bench-case`, {conditions['date']}: {conditions['rounds']} interleaved rounds of {questions} "
            f"questions, {conditions['at_once']} at once in one process; {conditions['cores']} cores, Python "
            f"{conditions['python']}; load before and after each round: {loads}. Medians; ratios are taken within a "
            "round, to LangGraph with its saver. The models are simulated: their time is not in these figures.",
            "",
            "| contender | CPU ms per case | ratio | cases/s | ratio | one case alone, ms | shared servers' CPU ms |",
            "|---|---:|---:|---:|---:|---:|---:|",
            *rows,
            "",
            f"Ours without the identity service, which no other contender has: "
            f"{summary[OURS_NAME]['cpu_ms'] - ours[APART]:.0f} ms. From an event to the router's answer, alone: "
            f"{found['idle']['hop_ms']:.0f} ms. Memory of the others (PSS, MB): {others}.",
            "",
            "![CPU per case by process](case.svg)",
            "",
            "| our process | CPU ms per case | PSS MB | at rest, % of a core |",
            "|---|---:|---:|---:|",
            *parts,
            "",
            "The shared servers are PostgreSQL, the emulator of AWS, the simulators and the token exchange. Row "
            "authentication is a part of audit, the request for a token a part of text_to_sql: /proc cannot part them.",
            "",
        ]
    )

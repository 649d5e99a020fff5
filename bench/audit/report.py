"""The results as a page."""

from __future__ import annotations

from typing import Any


def audit_markdown(found: dict[str, Any]) -> str:
    """The page for `bench/results/audit.md`."""
    machine, drained = found["machine"], found["queue_to_commit"]
    lines = [
        "# What a row of the audit log costs",
        "",
        f"`python -m bench.audit --rows {found['rows']}` (`make bench-audit` takes more): events of "
        f"{found['bytes_a_row']} bytes in batches of {found['batch']}, "
        f"median of {found['repetitions']} turns. {machine['cores']} cores, Python {machine['python']}, "
        f"load {machine['load_1m']:.1f} (a load above 1 is other work: compare within this page, not with another).",
        "",
        "## From the text to the commit",
        "",
        "One connection. Client is the Python process, server PostgreSQL's process for that connection.",
        "",
        "| way | rows/s | client µs/row | server µs/row |",
        "|---|---:|---:|---:|",
    ]
    for name, cost in found["writing"].items():
        lines.append(f"| {name} | {cost['rows_per_s']:,.0f} | {cost['client_us']:.0f} | {cost['server_us']:.0f} |")
    read = found["writing"]["reading the text alone"]["client_us"]
    record = found["writing"]["audit's record()"]["client_us"]
    audit, bare = drained["audit"], drained["receive and delete alone"]
    lines += [
        "",
        f"Reading includes the checks: strict JSON, envelope, digest, catalogue. Of record()'s {record:.0f} µs it is "
        f"{read:.0f}. The bare table has no partitions, no indexes beyond the key and no triggers, and COPY refuses "
        "the whole batch for one duplicate.",
        "",
        "## From the queue to the commit",
        "",
        "The service as its own process on the emulator's queue, from ready to the last row visible; the loop has as "
        "many pollers and does nothing but receive and delete, in tens.",
        "",
        "| consumer | messages/s | CPU µs/message |",
        "|---|---:|---:|",
        f"| audit | {audit['per_s']:,.0f} | {audit['cpu_us']:.0f} |",
        f"| receive and delete alone | {bare['per_s']:,.0f} | {bare['cpu_us']:.0f} |",
        "",
        f"Audit takes {audit['cpu_us'] / bare['cpu_us']:.1f} times the CPU of the bare loop.",
        "",
    ]
    return "\n".join(lines)

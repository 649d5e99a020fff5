"""The chain and the checkpoints: the product's own verification, and the auditors' program on exported cases."""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from switchyard.audit.export.standalone import verify_bundle
from switchyard.cli.app.audit_log import open_audit_reader, open_checkpoint_verifier, open_exporter
from switchyard.cli.app.target import Target
from switchyard.protocol.signing import name_source_keys

PROVED_CASES = 25
"""Cases of a run that are exported, each for a program of its own."""

COVERED_WITHIN_S = 30.0
"""How long the last rows may wait for their checkpoint."""


async def prove_log(target: Target, cases: Sequence[str], folder: Path, seed: int) -> list[str]:
    """What does not verify: the whole chain, every checkpoint, and a drawn sample of cases as an auditor gets them."""
    async with open_audit_reader(target) as log:
        wrong = [f"{each.kind}: case {each.case_id}: {each.why}" for each in (await log.verify()).findings]
    deadline = time.monotonic() + COVERED_WITHIN_S
    async with open_checkpoint_verifier(target) as checkpoints:
        while (report := await checkpoints.verify()).uncovered_rows and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(1.0)
    wrong += [f"checkpoint: {finding}" for finding in report.findings]
    if report.uncovered_rows:
        wrong.append(f"{report.uncovered_rows} rows are under no checkpoint")
    settings = target.settings
    rings = {
        "approvers": settings.approvers,
        "operators": settings.operators,
        "sources": name_source_keys(settings.principal_keys),
    }
    people = {ring: {name: key.hex() for name, key in keys.items()} for ring, keys in rings.items()}
    signers = folder / "signers.json"
    signers.write_text(json.dumps(people), encoding="utf-8")
    sample = random.Random(f"{seed} proof").sample(list(cases), min(PROVED_CASES, len(cases)))
    async with open_exporter(target) as exporter:
        for case in sample:
            bundle, uncovered = await exporter.export(case)
            file = folder / f"case-{case}.json"
            file.write_text(json.dumps(bundle), encoding="utf-8")
            verifier = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", verify_bundle.__file__, file),
                *("--key", settings.checkpoint_public_keys, "--signers", signers),
                stdout=asyncio.subprocess.PIPE,
            )
            output, _ = await verifier.communicate()
            if verifier.returncode != 0 or b"PROVEN" not in output or uncovered:
                wrong.append(f"bundle of case {case}: {output.decode()[-500:]}")
    return wrong

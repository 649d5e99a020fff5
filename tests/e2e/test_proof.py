"""The log under checkpoints, on the whole stack: proven although its service was killed again and again."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from switchyard.audit.export.standalone import verify_bundle
from switchyard.audit.verification.findings import CheckpointReport
from switchyard.cli.app.audit_log import open_checkpoint_verifier, open_exporter
from tests.e2e.conftest import Deployment

pytestmark = pytest.mark.e2e


async def test_audit_kill_9_keeps_rows_covered_and_case_exportable(deployment: Deployment, tmp_path: Path) -> None:
    cases = await deployment.submit([deployment.question(f"e2e slow proof {number}") for number in range(12)])
    events = 0
    for _ in range(4):
        events = await deployment.moved_on(cases, events)
        await deployment.kill("audit")
    await deployment.closed(cases, seconds=90)
    await deployment.settled(cases, seconds=40)

    async def checkpointed() -> CheckpointReport | None:
        async with open_checkpoint_verifier(deployment.target) as log:
            report = await log.verify()
        return None if report.uncovered_rows else report

    report = await deployment.until(checkpointed, seconds=30, what="every row under a checkpoint")
    (gaps,) = await deployment.rows(
        "select count(*) as entries, max(log_index) as last, (select count(*) from audit.transition) as rows"
        " from audit.log_entry"
    )
    async with open_exporter(deployment.target) as exporting:
        bundle, uncovered_rows = await exporting.export(cases[0])
    file = tmp_path / "case.json"
    file.write_text(json.dumps(bundle), encoding="utf-8")
    key = deployment.target.settings.checkpoint_public_keys
    verifier = await asyncio.create_subprocess_exec(
        sys.executable, "-I", verify_bundle.__file__, file, "--key", key, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await verifier.communicate()

    assert (report.findings, report.unlocked) == ([], 0)
    assert gaps["entries"] == gaps["last"] == gaps["rows"] == report.covered_rows
    assert uncovered_rows == 0
    assert (verifier.returncode, b"PROVEN" in output) == (0, True), output.decode()

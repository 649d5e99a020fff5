"""A case with its proof, taken from the console: an auditor verifies it without anything of ours."""

from __future__ import annotations

import base64
import json
import uuid
from typing import Any

import pytest

from switchyard.audit.export.standalone import verify_bundle
from switchyard.audit.records.roles import READER, SCHEMA, WRITER
from switchyard.audit.transparency.transparency_log import TransparencyLog
from switchyard.runtime.database.connections import connect_pool
from tests.integration.audit.proof import SIGNER, Proof, mac_keys
from tests.integration.console.conftest import Console
from tests.integration.console.served import SECRET, encoded, visiting
from tests.unit.audit import cases

pytestmark = pytest.mark.integration


async def checkpoint(console: Console) -> None:
    """Cover everything in the log, as the audit service does each minute."""
    assert console.parts.checkpoints is not None
    writer = await connect_pool(console.log.url(WRITER), schema=SCHEMA)
    reader = await connect_pool(console.log.url(READER), schema=SCHEMA)
    try:
        async with TransparencyLog.open(writer, mac_keys(writer)) as log:
            await Proof(log, console.parts.checkpoints, reader, console.checkpoint_log).checkpoint()
    finally:
        await reader.close()
        await writer.close()


def findings(bundle: dict[str, Any]) -> list[str]:
    """What does not hold, for an auditor who got the key from its owner."""
    trusted = verify_bundle.BundleKeys()
    trusted.add(base64.b64encode(SIGNER.public).decode())
    return list(verify_bundle.verify_bundle(bundle, trusted))


async def test_bundle_of_the_console_verifies_and_a_changed_one_does_not(console: Console) -> None:
    case = console.log.answered[3]
    await checkpoint(console)
    with visiting(console.app, console.views, "auditor") as visitor:
        assert f'href="/cases/{case.case_id}/bundle"' in (await visitor.get(f"/cases/{case.case_id}")).text
        answer = await visitor.get(f"/cases/{case.case_id}/bundle")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-disposition"] == f'attachment; filename="case-{case.case_id}.json"'
    bundle = json.loads(answer.text)
    assert len(bundle["events"]) == len(case.events)
    assert findings(bundle) == []
    bundle["events"][2]["body"] = bundle["events"][2]["body"].replace("claude-test", "another-model")
    bundle["events"][1]["body"] = bundle["events"][1]["body"].replace("acme", "evil")
    assert findings(bundle) != []


async def test_bundle_has_what_is_sealed_as_it_is_stored(console: Console) -> None:
    await checkpoint(console)
    with visiting(console.app, console.views, "auditor") as visitor:
        answer = await visitor.get(f"/cases/{console.log.sealed.case_id}/bundle")
    assert answer.status_code == 200
    assert not any(text in answer.text for text in encoded(SECRET))


async def test_case_without_a_checkpoint_is_exported_when_it_has_one(console: Console) -> None:
    fresh = cases.answered(uuid.uuid4().int % 10**9)
    path = f"/cases/{fresh[0]['case_id']}/bundle"
    with visiting(console.app, console.views, "auditor") as visitor:
        assert (await visitor.get(path)).status_code == 404
        await console.log.record(cases.bodies(fresh))
        early = await visitor.get(path)
        assert early.status_code == 409
        assert "try again in a minute" in early.text
        await checkpoint(console)
        assert findings((await visitor.get(path)).json()) == []

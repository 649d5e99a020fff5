"""An exported case, verified by an interpreter that can import nothing of ours, after every tampering with it."""

from __future__ import annotations

import base64
import copy
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
import pytest

from contracts.catalogue import CATALOGUE
from switchyard.audit.export.bundle import Exporter
from switchyard.audit.export.standalone import verify_bundle
from switchyard.audit.records.row_mac import MacKeys
from switchyard.audit.records.store import AuditStore
from switchyard.protocol.events.case_manager import CaseClosed
from switchyard.protocol.events.router import CloseCase
from switchyard.protocol.fields import Json
from switchyard.runtime.core.errors import PermanentTaskError
from switchyard.runtime.crypto.signing import LocalSigner
from switchyard.runtime.crypto.vault import LocalKeyWrapper
from switchyard.runtime.database.connections import Pool
from tests.integration.audit.proof import ROW_KEY, SIGNER, Proof
from tests.integration.manual_clock import ManualClock
from tests.unit.audit import cases
from tests.unit.audit.test_signed_events import PUBLIC, decided

pytestmark = pytest.mark.integration
Owner: TypeAlias = "asyncpg.Connection[Any]"
KEY = base64.b64encode(SIGNER.public).decode()
SCRIPT = Path(verify_bundle.__file__)

GUARD = """
import runpy, sys
ALLOWED = set(sys.stdlib_module_names) | {"cryptography", "_cffi_backend"}

class Guard:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in ALLOWED:
            raise ImportError(f"the verifier imports {name}")

sys.meta_path.insert(0, Guard())
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Runs a script that may import the standard library and `cryptography`, and nothing else."""


@pytest.fixture
def exporter(writer: Pool, proof: Proof) -> Exporter:
    return Exporter(writer, proof.objects, [SIGNER.public], log=proof.log)


@pytest.fixture
async def bundle(store: AuditStore, proof: Proof, exporter: Exporter) -> Json:
    """A case whose events lie under three checkpoints, among other cases."""
    events = cases.answered(1)
    for part in (events[:4], events[4:5], events[5:]):
        await store.record([*cases.bodies(cases.answered(len(part) + 10)), *cases.bodies(part)])
        await proof.checkpoint()
    made, uncovered_rows = await exporter.export(events[0]["case_id"])
    assert uncovered_rows == 0
    assert (len(made["events"]), len(made["checkpoints"])) == (9, 3)
    return made


def checked(bundle: Json, *keys: str) -> tuple[int, list[str]]:
    """The exit code and what does not hold, in this process."""
    trusted = verify_bundle.BundleKeys()
    for key in keys or (KEY,):
        trusted.add(key)
    try:
        findings = list(verify_bundle.verify_bundle(json.loads(json.dumps(bundle)), trusted))
    except (verify_bundle.InvalidBundle, KeyError, TypeError, ValueError, AttributeError) as error:
        findings = [str(error)]
    return bool(findings), findings


def run(bundle: Json, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The verifier as the auditor runs it."""
    file = folder / "case.json"
    file.write_text(json.dumps(bundle), encoding="utf-8")
    command = [sys.executable, "-I", "-c", GUARD, str(SCRIPT), str(file), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, cwd=folder)


async def test_untampered_bundle_is_proven_by_the_script_alone(bundle: Json, tmp_path: Path) -> None:
    ran = run(bundle, tmp_path, "--key", KEY)

    assert (ran.returncode, ran.stderr) == (0, "")
    assert "PROVEN" in ran.stdout
    assert "9 events" in ran.stdout


async def test_bundle_without_a_trusted_key_is_not_proven(bundle: Json, tmp_path: Path) -> None:
    pem = "-----BEGIN PUBLIC KEY-----\n" + KEY + "\n-----END PUBLIC KEY-----\n"
    (tmp_path / "key.pem").write_text(pem)
    other = base64.b64encode(LocalSigner(b"\1" * 32).public).decode()

    assert run(bundle, tmp_path, "--key", str(tmp_path / "key.pem")).returncode == 0
    unnamed = run(bundle, tmp_path)
    assert (unnamed.returncode, "NOT PROVEN" in unnamed.stdout) == (3, True)
    distrusted = run(bundle, tmp_path, "--key", other)
    assert (distrusted.returncode, "which is not trusted" in distrusted.stdout) == (1, True)
    assert run(bundle, tmp_path, "--key", "nonsense").returncode == 2


def _body(change: Callable[[Json], None]) -> Callable[[Json], None]:
    """Alter the event in an entry's body and give it the digest that belongs to it."""

    def tamper(bundle: Json) -> None:
        bus = json.loads(bundle["events"][6]["body"])
        change(bus["detail"])
        bus["detail"]["digest"] = verify_bundle.event_digest(bus["detail"])
        bundle["events"][6]["body"] = json.dumps(bus)

    return tamper


def _swap(bundle: Json) -> None:
    events = bundle["events"]
    events[2]["body"], events[3]["body"] = events[3]["body"], events[2]["body"]


def _forge_checkpoint(bundle: Json) -> None:
    """Another root, signed by the forger."""
    checkpoint = bundle["checkpoints"][1]
    checkpoint["body"]["root"] = "0" * 64
    message = verify_bundle.canonical_json(checkpoint["body"]).encode()
    checkpoint["signature"] = base64.b64encode(LocalSigner(b"\1" * 32)._key.sign(message)).decode()


TAMPERINGS: dict[str, Callable[[Json], None]] = {
    "a field": lambda b: b["events"][6].update(body=b["events"][6]["body"].replace("8750", "9999")),
    "a field and its digest": _body(lambda event: event.update(rubric_score=9_999)),
    "a field outside the digest": _body(lambda event: event.update(occurred_at="2020-01-01T00:00:00Z")),
    "a blank in a body": lambda b: b["events"][0].update(body=b["events"][0]["body"] + " "),
    "the bus source": lambda b: b["events"][0].update(
        body=b["events"][0]["body"].replace("switchyard.case_manager", "x")
    ),
    "an attached artefact": lambda b: b["events"][0].update(
        body=b["events"][0]["body"].replace("cXVlc3Rpb24=", "cXVlc3Rpb25=")
    ),
    "the time of recording": lambda b: b["events"][3].update(recorded_at="2026-01-01T00:00:00.000000Z"),
    "a log_index": lambda b: b["events"][3].update(log_index=b["events"][3]["log_index"] + 1),
    "a log_index outside": lambda b: b["events"][3].update(log_index=10_000),
    "a checkpoint's number": lambda b: b["events"][3].update(checkpoint=2),
    "no checkpoint": lambda b: b["events"][3].update(checkpoint=None, path=[]),
    "a proof": lambda b: b["events"][3]["inclusion_proof"].__setitem__(0, "00" * 32),
    "a proof too long": lambda b: b["events"][3]["inclusion_proof"].append("00" * 32),
    "a proof too short": lambda b: b["events"][3]["inclusion_proof"].pop(),
    "two rows swapped": _swap,
    "the first event dropped": lambda b: b["events"].pop(0),
    "a middle event dropped": lambda b: b["events"].pop(4),
    "the ending dropped": lambda b: b["events"].pop(),
    "every event dropped": lambda b: b["events"].clear(),
    "an event twice": lambda b: b["events"].append(b["events"][3]),
    "a root": lambda b: b["checkpoints"][0]["body"].update(root="0" * 64),
    "a checkpoint's time": lambda b: b["checkpoints"][0]["body"].update(made_at="2020-01-01T00:00:00Z"),
    "a signature": lambda b: b["checkpoints"][0].update(signature=b["checkpoints"][1]["signature"]),
    "a forged checkpoint": _forge_checkpoint,
    "a checkpoint dropped": lambda b: b["checkpoints"].pop(1),
    "checkpoints in another order": lambda b: b["checkpoints"].reverse(),
    "no checkpoints": lambda b: b["checkpoints"].clear(),
    "the case's id": lambda b: b.update(case_id=cases.first(5)["case_id"]),
    "an artefact's reference": lambda b: b["artefacts"][0].update(sha256="0" * 64),
    "an artefact dropped": lambda b: b["artefacts"].pop(),
    "something to come along": lambda b: b.update(remark="all is well"),
    "something in an event": lambda b: b["events"][0].update(remark="all is well"),
    "an unknown field in a checkpoint": lambda b: b["checkpoints"][0]["body"].update(remark="all is well"),
    "another format": lambda b: b.update(format="switchyard-bundle/2"),
}


async def test_bundle_tampered_in_any_way_is_broken(bundle: Json) -> None:
    assert checked(bundle) == (False, [])
    for name, tamper in TAMPERINGS.items():
        tampered = copy.deepcopy(bundle)
        tamper(tampered)
        assert tampered != bundle, name

        broken, findings = checked(tampered)

        assert broken, name
        assert all(findings), name


async def test_bundle_with_any_single_value_changed_is_invalid(bundle: Json) -> None:
    """After a change of any leaf of the JSON the bundle is invalid; public_keys are for information only."""
    for path, value in list(_leaves({name: part for name, part in bundle.items() if name != "public_keys"})):
        tampered = copy.deepcopy(bundle)
        *way, last = path
        place: Any = tampered
        for step in way:
            place = place[step]
        place[last] = (
            value + 1 if isinstance(value, int) else f"{(value or 'x')[:-1]}{'0' if (value or 'x')[-1] != '0' else '1'}"
        )

        assert checked(tampered)[0], path


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> Any:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _leaves(item, (*path, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _leaves(item, (*path, index))
    else:
        yield path, value


async def test_tampered_bundle_exits_with_1_and_names_the_event(bundle: Json, tmp_path: Path) -> None:
    TAMPERINGS["a field and its digest"](bundle)

    ran = run(bundle, tmp_path, "--key", KEY)

    assert (ran.returncode, ran.stderr) == (1, "")
    assert "BROKEN  event 7 (log index" in ran.stdout
    assert "PROVEN" not in ran.stdout


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"a": 1, "a": 2}', '{"a": 1.5}', "{}", '{"format": "switchyard-bundle/1"}']
)
def test_invalid_bundle_file_is_refused_without_a_traceback(text: str, tmp_path: Path) -> None:
    file = tmp_path / "case.json"
    file.write_text(text)

    assert verify_bundle.main([str(file), "--key", KEY]) in {1, 2}


async def test_event_without_checkpoint_is_reported_and_not_proven(
    store: AuditStore, proof: Proof, exporter: Exporter
) -> None:
    events = cases.answered(1)
    await store.record(cases.bodies(events[:8]))
    await proof.checkpoint()
    await store.record(cases.bodies(events[8:]))

    bundle, uncovered_rows = await exporter.export(events[0]["case_id"])

    assert uncovered_rows == 1
    assert checked(bundle)[1] == [
        "event 9 (log index None): no checkpoint of the bundle covers it; "
        "export the case again once the log has a checkpoint for it"
    ]


async def test_export_of_a_case_missing_from_the_log_is_refused(exporter: Exporter) -> None:
    with pytest.raises(PermanentTaskError, match="not in the log"):
        await exporter.export(cases.first(99)["case_id"])


def _closed(events: list[Json]) -> list[Json]:
    """With the ending that follows a denied email."""
    closing = cases.follow(events[-1], CloseCase(outcome="denied", code="denied"), "router")
    return [*events, closing, cases.follow(closing, CaseClosed(outcome="denied", code="denied"), "case_manager")]


@pytest.mark.parametrize(
    ("key", "code", "stated"), [(b"\1" * 32, 0, "PROVEN"), (b"\3" * 32, 1, "it is not signed by ana")]
)
async def test_approvers_signature_is_proven_with_named_keys_only(
    store: AuditStore, proof: Proof, exporter: Exporter, tmp_path: Path, key: bytes, code: int, stated: str
) -> None:
    events = _closed(decided("denied", key=key))
    signers = tmp_path / "signers.json"
    signers.write_text(json.dumps({"approvers": PUBLIC, "operators": {}}))
    await store.record(cases.bodies(events))
    await proof.checkpoint()
    made, _ = await exporter.export(events[0]["case_id"])

    ran, unnamed = run(made, tmp_path, "--key", KEY, "--signers", str(signers)), run(made, tmp_path, "--key", KEY)

    assert (ran.returncode, stated in ran.stdout) == (code, True), ran.stdout
    assert (unnamed.returncode, "NOT PROVEN  the signatures of ApprovalDenied" in unnamed.stdout) == (3, True)


async def test_backdated_event_in_a_bundle_is_found(
    store: AuditStore, proof: Proof, exporter: Exporter, owner: Owner, writer: Pool, tmp_path: Path
) -> None:
    """Signed, with a valid MAC, under a checkpoint: recorded before the checkpoint before."""
    early = MacKeys(writer, LocalKeyWrapper(ROW_KEY), ManualClock(datetime.now(UTC) - timedelta(hours=1)))
    await store.record([cases.body(cases.first(5))])
    await proof.checkpoint()
    await owner.execute(
        "create function attack() returns trigger language plpgsql as"
        " $$ begin new.recorded_at := new.recorded_at - interval '30 minutes'; return new; end $$"
    )
    await owner.execute("create trigger attack before insert on transition for each row execute function attack()")
    await AuditStore(writer, CATALOGUE, early).record(cases.bodies(cases.answered(1)))
    await proof.checkpoint()

    made, _ = await exporter.export(cases.first(1)["case_id"])

    ran = run(made, tmp_path, "--key", KEY)
    assert (ran.returncode, ran.stdout.count("is backdated")) == (1, 9)

"""A folder that an auditor gets: a case with its proof, the verifier, and one page that explains both."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from switchyard.audit.export.standalone import verify_bundle
from switchyard.protocol.fields import Json

EXPLANATION = "README.md"
SIGNERS = "signers.json"
_TEMPLATE = Path(__file__).with_name("kit.md")


def write_kit(folder: Path, bundle: Json, signers: Mapping[str, Mapping[str, bytes]]) -> list[Path]:
    """Write the kit of one case; `signers` are people's public keys by ring and name. Raises `OSError`.

    Files of a kit that is there already are replaced, and nothing else is touched.
    """
    folder.mkdir(parents=True, exist_ok=True)
    case = folder / f"case-{bundle['case_id']}.json"
    verifier = folder / Path(verify_bundle.__file__).name
    people = {ring: {name: key.hex() for name, key in sorted(keys.items())} for ring, keys in signers.items()}
    case.write_text(json.dumps(bundle, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    shutil.copyfile(verify_bundle.__file__, verifier)
    (folder / SIGNERS).write_text(json.dumps(people, indent=1) + "\n", encoding="utf-8")
    covered = [entry for entry in bundle["events"] if entry["checkpoint"] is not None]
    facts = {
        "CASE_FILE": case.name,
        "CASE": bundle["case_id"],
        "EVENTS": str(len(bundle["events"])),
        "UNCOVERED": str(len(bundle["events"]) - len(covered)),
        "CHECKPOINTS": str(len(bundle["checkpoints"])),
    }
    text = _TEMPLATE.read_text(encoding="utf-8")
    for name, value in facts.items():
        text = text.replace(f"{{{name}}}", value)
    explanation = folder / EXPLANATION
    explanation.write_text(text, encoding="utf-8")
    return [explanation, verifier, case, folder / SIGNERS]

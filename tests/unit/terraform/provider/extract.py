"""Extract the schema of the types that our files use from the AWS provider's bindings: `make provider-schema`.

`terraform providers schema -json` needs the provider. The bindings of the CDK for Terraform are generated from the
schema of every release, and their JavaScript has for each argument whether it is required, whether it is a block, and
its type. The output has the format of `terraform providers schema -json`, limited to the types that our files use and
to the blocks that they use or that are required.
"""

from __future__ import annotations

import json
import re
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from tests.unit.terraform.provider.uses import Uses, used

FILE = Path(__file__).parent / "schema.json"

_CLASS = re.compile(r"^(?:export declare )?class (\w+) extends cdktn\.(\w+) \{\n(.*?)^\}$", re.MULTILINE | re.DOTALL)
_MEMBER = re.compile(r"^ {4}// (\w+) - computed: (\w+), optional: (\w+), required: (\w+)\n", re.MULTILINE)
_NESTED = re.compile(r"= new (\w+?)(OutputReference|List|Map)\(this, \"\w+\"(?:, (true|false))?\)")
_HCL = re.compile(
    r"^ {8,12}(\w+): \{\n +value: [^\n]*\n +isBlock: (\w+),\n +type: \"(\w+)\",\n +storageClassType: \"(\w+)\"",
    re.MULTILINE,
)
_INTERFACE = re.compile(r"^export interface (\w+)(?: extends [\w.]+)? \{\n(.*?)^\}$", re.MULTILINE | re.DOTALL)
_SIMPLE = {
    "getStringAttribute": "string",
    "getNumberAttribute": "number",
    "getBooleanAttribute": "bool",
    "getListAttribute": ["list", "string"],
    "getNumberListAttribute": ["list", "number"],
    "getStringMapAttribute": ["map", "string"],
    "getNumberMapAttribute": ["map", "number"],
    "getBooleanMapAttribute": ["map", "bool"],
}
_MODES = {"struct": "single"}
_KEY_HEADER: dict[str, Any] = {
    "attributes": {"name": {"required": True, "type": "string"}},
    "block_types": {
        "text_transformation": {
            "nesting_mode": "set",
            "min_items": 1,
            "block": {
                "attributes": {
                    "priority": {"required": True, "type": "number"},
                    "type": {"required": True, "type": "string"},
                }
            },
        }
    },
}
_STATEMENT: dict[str, Any] = {
    "attributes": {},
    "block_types": {
        "rate_based_statement": {
            "nesting_mode": "list",
            "max_items": 1,
            "block": {
                "attributes": {
                    "aggregate_key_type": {"optional": True, "type": "string"},
                    "evaluation_window_sec": {"optional": True, "type": "number"},
                    "limit": {"required": True, "type": "number"},
                },
                "block_types": {
                    "custom_key": {
                        "nesting_mode": "list",
                        "block": {
                            "attributes": {},
                            "block_types": {"header": {"nesting_mode": "list", "max_items": 1, "block": _KEY_HEADER}},
                        },
                    }
                },
            },
        },
        "managed_rule_group_statement": {
            "nesting_mode": "list",
            "max_items": 1,
            "block": {
                "attributes": {
                    "name": {"required": True, "type": "string"},
                    "vendor_name": {"required": True, "type": "string"},
                    "version": {"optional": True, "type": "string"},
                }
            },
        },
    },
}
_BY_HAND = {"wafv2_web_acl#statement": {"nesting_mode": "list", "min_items": 1, "max_items": 1, "block": _STATEMENT}}
"""A recursive block, which the bindings omit: from the provider's documentation of the resource."""


class Bindings:
    """One type's JavaScript and its declarations."""

    def __init__(self, page: str, script: str, declarations: str) -> None:
        self._page = page
        script = script.partition("//# sourceMappingURL")[0]
        self._script = script
        self._classes = {name: (base, body) for name, base, body in _CLASS.findall(script)}
        self._blocks = {
            name: set(re.findall(r"\* (\w+) block$", body, re.MULTILINE))
            for name, body in _INTERFACE.findall(declarations)
        }

    def schema(self, uses: Uses) -> dict[str, Any]:
        """The block of the resource or data source."""
        [top] = [
            name for name, (base, _) in self._classes.items() if base in {"TerraformResource", "TerraformDataSource"}
        ]
        hcl = self._classes[top][1].partition("synthesizeHclAttributes()")[2]
        return self._block(top, f"{top}Config", hcl, uses)

    def _block(self, class_: str, interface: str, hcl: str, uses: Uses) -> dict[str, Any]:
        attributes: dict[str, Any] = {}
        nested: dict[str, Any] = {}
        described = {name: (kind, storage) for name, _, kind, storage in _HCL.findall(hcl)}
        for name, flags, text in self._members(class_):
            is_block = name in self._blocks.get(interface, ())
            found = _NESTED.search(text)
            if is_block and (name in uses or flags["required"]):
                nested[name] = self._nested_block(name, found, described.get(name), flags, uses.get(name, {}))
            elif not is_block:
                attributes[name] = self._attribute(found, text, described.get(name), flags)
        return {"attributes": attributes} | ({"block_types": nested} if nested else {})

    def _members(self, class_: str) -> list[tuple[str, dict[str, bool], str]]:
        pieces = _MEMBER.split(self._classes[class_][1])[1:]
        return [
            (name, {"computed": c == "true", "optional": o == "true", "required": r == "true"}, text)
            for name, c, o, r, text in zip(*(pieces[place::5] for place in range(5)), strict=True)
        ]

    def _nested_block(
        self,
        member: str,
        found: re.Match[str] | None,
        described: tuple[str, str] | None,
        flags: dict[str, bool],
        uses: Uses,
    ) -> dict[str, Any]:
        limits = {"min_items": 1} if flags["required"] else {}
        if found is None or described is None:
            return _BY_HAND[f"{self._page}#{member}"]
        name, kind, _ = found.groups()
        if kind == "OutputReference" and described[0] != "struct":
            limits |= {"max_items": 1}
        mode = _MODES.get(described[0], described[0])
        return {"nesting_mode": mode, "block": self._struct(name, uses)} | limits

    def _struct(self, name: str, uses: Uses) -> dict[str, Any]:
        function = f"function {name[0].lower()}{name[1:]}ToHclTerraform("
        hcl = self._script.partition(function)[2].partition("\n}\n")[0]
        return self._block(f"{name}OutputReference", name, hcl, uses)

    def _attribute(
        self, found: re.Match[str] | None, text: str, described: tuple[str, str] | None, flags: dict[str, bool]
    ) -> dict[str, Any]:
        printed = {name: True for name, holds in flags.items() if holds}
        if found is None:
            return {"type": _simple(text, described)} | printed
        name, kind, wraps_set = found.groups()
        mode = {"OutputReference": "single", "Map": "map"}.get(kind, "set" if wraps_set == "true" else "list")
        inside = self._struct(name, {})["attributes"]
        if not flags["optional"] and not flags["required"]:
            # For terraform, a read-only block is a plain value.
            return {"type": _value(inside, mode)} | printed
        return {"nested_type": {"attributes": inside, "nesting_mode": mode}} | printed


def _value(inside: dict[str, Any], mode: str) -> Any:
    members = {name: each["type"] for name, each in inside.items()}
    return ["object", members] if mode == "single" else [mode, ["object", members]]


def _simple(text: str, described: tuple[str, str] | None) -> Any:
    if "interpolationForAttribute" in text:
        return "dynamic"
    if (found := re.search(r"new cdktn\.(String|Number|Boolean)Map\(", text)) is not None:
        return ["map", {"String": "string", "Number": "number", "Boolean": "bool"}[found[1]]]
    [getter] = {name for name in re.findall(r"this\.(get\w+)\(", text) if name in _SIMPLE}
    type_ = _SIMPLE[getter]
    is_set = "cdktn.Fn.tolist" in text if described is None else described[0] == "set"
    return ["set", type_[1]] if is_set and isinstance(type_, list) else type_


def extract(wheel: Path) -> dict[str, Any]:
    """The schema of every type that our files use, from the bindings in a wheel."""
    with zipfile.ZipFile(wheel) as whole:
        [name] = [name for name in whole.namelist() if name.endswith(".jsii.tgz")]
        archive = tarfile.open(fileobj=BytesIO(whole.read(name)))  # noqa: SIM115 - closed below
    wanted = used()
    names = {f"package/lib/{_folder(kind, type_)}/index": (kind, type_) for kind, type_ in wanted}
    texts: dict[str, str] = {}
    with archive:
        for member in archive:
            stem = member.name.removesuffix(".d.ts").removesuffix(".js")
            if (stem in names or member.name == "package/README.md") and (file := archive.extractfile(member)):
                texts[member.name] = file.read().decode()
    version = re.search(r"hashicorp/aws provider version ([\d.]+)", texts["package/README.md"])
    if version is None:
        raise ValueError(f"{wheel.name}: package/README.md must name the version of the provider")
    schemas: dict[str, dict[str, Any]] = {"resource_schemas": {}, "data_source_schemas": {}}
    for stem, (kind, type_) in sorted(names.items()):
        bindings = Bindings(type_.removeprefix("aws_"), texts[f"{stem}.js"], texts[f"{stem}.d.ts"])
        part = "resource_schemas" if kind == "resource" else "data_source_schemas"
        schemas[part][type_] = {"block": bindings.schema(wanted[kind, type_])}
    return {"provider": "hashicorp/aws", "version": version[1], "taken_from": wheel.name} | schemas


def _folder(kind: str, type_: str) -> str:
    return (f"data-{type_}" if kind == "data" else type_.removeprefix("aws_")).replace("_", "-")


def text(schema: dict[str, Any]) -> str:
    """The text of the committed file: one line per type, so that a diff shows the changes of a new provider version."""
    parts = []
    for name, value in schema.items():
        if isinstance(value, dict):
            lines = ",\n".join(f'"{type_}": {json.dumps(value[type_], sort_keys=True)}' for type_ in sorted(value))
            parts.append(f'"{name}": {{\n{lines}\n}}')
        else:
            parts.append(f'"{name}": {json.dumps(value)}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main(arguments: Sequence[str]) -> None:
    """`python -m tests.unit.terraform.provider.extract WHEEL` writes `schema.json`."""
    FILE.write_text(text(extract(Path(arguments[0]))))


if __name__ == "__main__":
    main(sys.argv[1:])

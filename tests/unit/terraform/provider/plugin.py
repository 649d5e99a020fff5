"""A provider with the AWS provider's schema (`schema.json`) and no behaviour, for terraform's own checks.

`TF_REATTACH_PROVIDERS` makes terraform use a running provider instead of downloading one. Terraform then checks types,
references, `for_each` and preconditions (`validate`), and plans with mock values (`test` with `mock_provider`). It does
not run the real provider's checks beyond the schema, or AWS's checks of values. The protocol is terraform's plugin
protocol 6; the messages are encoded by hand because the schema is the only content.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc

_NESTING = {"single": 1, "list": 2, "set": 3, "map": 4}
_EMPTY = ("ValidateProviderConfig", "ConfigureProvider", "ValidateResourceConfig", "ValidateDataResourceConfig")
Inside = dict[str, Any]


def number(field: int, value: int) -> bytes:
    """A field in protobuf's wire format: an integer of at most seven bits."""
    return bytes([field << 3, value])


def chunk(field: int, value: bytes | str) -> bytes:
    """A field in protobuf's wire format: bytes, text or a message."""
    data = value.encode() if isinstance(value, str) else value
    length, size = bytearray(), len(data)
    while size > 0x7F:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([field << 3 | 2, *length, size]) + data


def block(schema: Inside) -> bytes:
    """tfplugin6 `Schema.Block`."""
    inner = b"".join(chunk(2, attribute(name, each)) for name, each in schema["attributes"].items())
    return inner + b"".join(chunk(3, nested(name, each)) for name, each in schema.get("block_types", {}).items())


def nested(name: str, each: Inside) -> bytes:
    """tfplugin6 `Schema.NestedBlock`."""
    limits = number(4, each.get("min_items", 0)) + number(5, each.get("max_items", 0))
    return chunk(1, name) + chunk(2, block(each["block"])) + number(3, _NESTING[each["nesting_mode"]]) + limits


def attribute(name: str, each: Inside) -> bytes:
    """tfplugin6 `Schema.Attribute`."""
    flags = b"".join(
        number(field, 1) for field, flag in ((4, "required"), (5, "optional"), (6, "computed")) if flag in each
    )
    if "nested_type" in each:
        return chunk(1, name) + chunk(10, members(each["nested_type"])) + flags
    return chunk(1, name) + chunk(2, json.dumps(each["type"])) + flags


def members(each: Inside) -> bytes:
    """tfplugin6 `Schema.Object`."""
    inner = b"".join(chunk(1, attribute(name, inside)) for name, inside in each["attributes"].items())
    return inner + number(3, _NESTING[each["nesting_mode"]])


_SETTINGS: Inside = {
    "attributes": {
        "allowed_account_ids": {"type": ["set", "string"], "optional": True},
        "region": {"type": "string", "optional": True},
    },
    "block_types": {
        "default_tags": {
            "nesting_mode": "list",
            "max_items": 1,
            "block": {"attributes": {"tags": {"type": ["map", "string"], "optional": True}}},
        }
    },
}
"""The provider's own arguments that our files set, from its documentation."""


def provider_schema(schema: Inside) -> bytes:
    """tfplugin6 `GetProviderSchema.Response`."""
    parts = chunk(1, chunk(2, block(_SETTINGS)))
    for field, part in ((2, "resource_schemas"), (3, "data_source_schemas")):
        for name, each in schema[part].items():
            parts += chunk(field, chunk(1, name) + chunk(2, chunk(2, block(each["block"]))))
    return parts


def _handlers(schema: bytes) -> dict[str, grpc.RpcMethodHandler]:
    """An encoded answer for each method. Terraform calls no other method, because no resource is created."""
    answers = dict.fromkeys(_EMPTY, b"") | {"GetProviderSchema": schema}
    return {
        name: grpc.unary_unary_rpc_method_handler(lambda _request, _context, answer=answer: answer)
        for name, answer in answers.items()
    }


@contextmanager
def attached() -> Iterator[dict[str, str]]:
    """The environment variables with which terraform finds the provider."""
    schema = json.loads((Path(__file__).parent / "schema.json").read_text())
    server = grpc.server(ThreadPoolExecutor(4), options=[("grpc.max_send_message_length", -1)])
    handlers = _handlers(provider_schema(schema))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("tfplugin6.Provider", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    address = {"Network": "tcp", "String": f"127.0.0.1:{port}"}
    reattach = {"Protocol": "grpc", "ProtocolVersion": 6, "Pid": os.getpid(), "Test": True, "Addr": address}
    try:
        yield os.environ | {"TF_REATTACH_PROVIDERS": json.dumps({"hashicorp/aws": reattach})}
    finally:
        server.stop(None).wait()

"""JSON Schemas of the contracts, draft 2020-12, as consumers validate."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema

from switchyard.protocol.canonical import MAX_SAFE_INTEGER
from switchyard.protocol.catalogue import Catalogue, EventType
from switchyard.protocol.envelope import Envelope
from switchyard.protocol.fields import Contract, Json

JSON_SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_MODE: JsonSchemaMode = "validation"


class _Untitled(GenerateJsonSchema):
    """Without pydantic's titles on fields, which only repeat their names."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Never."""
        return False


def schema_file(type_: EventType) -> str:
    """The name of the file that holds the payload's schema."""
    return f"{type_.name}.v{type_.version}.json"


def document(model: type[Contract], id_: str) -> Json:
    """The schema of one contract, self-contained, under a URN."""
    template = "#/$defs/{model}"
    schema = model.model_json_schema(ref_template=template, schema_generator=_Untitled, mode=_MODE)
    if "JsonValue" in schema.get("$defs", {}):
        schema["$defs"]["JsonValue"] = _any_json(template)
    return {"$schema": JSON_SCHEMA_DIALECT, "$id": f"urn:switchyard:{id_}"} | schema


def definitions(catalogue: Catalogue, template: str) -> Json:
    """The envelope, every payload and what they share, by name, referring to each other by `template`."""
    models: list[tuple[type[Contract], JsonSchemaMode]] = [(Envelope, _MODE)]
    models += [(type_.payload, _MODE) for type_ in catalogue.types]
    _, schema = models_json_schema(models, ref_template=template, schema_generator=_Untitled)
    found: Json = schema["$defs"]
    return found | {"JsonValue": _any_json(template)}


def _any_json(template: str) -> Json:
    # Pydantic's own schema of JsonValue allows floats, which no event may contain.
    itself = {"$ref": template.format(model="JsonValue")}
    return {
        "description": "Any JSON but numbers with a fraction or an exponent; no NUL in text.",
        "anyOf": [
            {"type": "null"},
            {"type": "boolean"},
            {"type": "integer", "minimum": -MAX_SAFE_INTEGER, "maximum": MAX_SAFE_INTEGER},
            {"type": "string", "pattern": "^[^\\u0000]*$"},
            {"type": "array", "items": itself},
            {"type": "object", "additionalProperties": itself},
        ],
    }

"""The documents of the database as JSON schemas: for people, other programs, and for MongoDB to enforce."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from niobe.config.spec import SCHEMA_VERSION
from niobe.loop.documents.entries import SourceEntry
from niobe.loop.documents.records import StructureRecord

Schema = dict[str, Any]
DOCUMENTS: dict[str, type[BaseModel]] = {"structures": StructureRecord, "entries": SourceEntry}
_BSON_TYPES = {
    "integer": ["int", "long"],
    "number": ["int", "long", "double", "decimal"],
    "boolean": "bool",
    "string": "string",
    "array": "array",
    "object": "object",
    "null": "null",
}
_KEPT = {"enum", "pattern", "minimum", "maximum", "minItems", "maxItems", "required"}


def json_schema(collection: str) -> Schema:
    """The JSON schema (2020-12) of a collection's documents, with its version. Raises KeyError."""
    schema = DOCUMENTS[collection].model_json_schema()
    name = f"niobe:{collection}:{SCHEMA_VERSION}"
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": name, **schema}


def mongo_schema(collection: str) -> Schema:
    """The same as MongoDB's ``$jsonSchema`` takes it: no references, BSON types, ``_id`` for ``id``.

    Fields that are stored beside a record, for searches, are allowed.
    """
    schema = DOCUMENTS[collection].model_json_schema()
    converted = _converted(schema, schema.get("$defs", {}))
    properties = converted["properties"]
    converted["properties"] = {"_id" if key == "id" else key: value for key, value in properties.items()}
    del converted["additionalProperties"]
    converted["required"] = ["_id" if key == "id" else key for key in converted["required"]]
    return converted


def _converted(schema: Schema, definitions: Schema) -> Schema:
    if "$ref" in schema:
        return _converted(definitions[schema["$ref"].rsplit("/", 1)[-1]], definitions)
    result: Schema = {key: schema[key] for key in _KEPT & schema.keys()}
    if "type" in schema:
        result["bsonType"] = _BSON_TYPES[schema["type"]]
    if "const" in schema:
        result["enum"] = [schema["const"]]
    if "properties" in schema:
        result["properties"] = {k: _converted(v, definitions) for k, v in schema["properties"].items()}
    if isinstance(schema.get("items"), dict):
        result["items"] = _converted(schema["items"], definitions)
    extra = schema.get("additionalProperties")
    if extra is not None:
        result["additionalProperties"] = _converted(extra, definitions) if isinstance(extra, dict) else extra
    for key in ("anyOf", "allOf", "oneOf"):
        if key in schema:
            result[key] = [_converted(part, definitions) for part in schema[key]]
    return result

"""The JSON Schema of a stored record, committed as ``docs/record.schema.json``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from posebench.types.record import SCHEMA_VERSION, Record


def record_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) that every stored record fulfils."""
    schema = Record.model_json_schema(mode="serialization")
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = f"posebench record, version {SCHEMA_VERSION}"
    schema["properties"]["schema_version"] |= {"const": SCHEMA_VERSION}
    return schema


def schema_text() -> str:
    """Return the schema as it is committed."""
    return json.dumps(record_schema(), indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    Path("docs/record.schema.json").write_text(schema_text(), encoding="utf-8")

"""Records of earlier schema versions -> the present one; nothing is invented on the way."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from posebench.types.record import SCHEMA_VERSION

Content = dict[str, Any]

# Verdicts of version 1 on a subset, and what they are called since version 2.
VERDICTS = {
    "not contradicted": "consistent",
    "contradicted": "outside the interval",
    "differs": "outside the interval",
}
ON_SUBSET = re.compile(r"(not contradicted|contradicted|differs) (\(n=\d+\))")
# The note with which version 1 told that a network had been evaluated in another form.
FORM_NOTE = re.compile(r"form of the network: ([^(]*)")
FLAGS = {"folded": "folded", "channels-last": "channels_last", "compiled": "compiled"}
RUNTIMES = ("onnxruntime", "openvino")


def upgraded(content: Content) -> Content:
    """Return a record's JSON values in the present schema version.

    Args:
        content: With a ``schema_version`` from 1 to the present one, otherwise unchecked; it is
            not changed.

    Raises:
        LookupError, TypeError, ValueError, AttributeError: It does not follow its own version.
    """
    while content["schema_version"] != SCHEMA_VERSION:
        content = UPGRADES[content["schema_version"]](content)
    return content


def _from_1(old: Content) -> Content:
    """Version 2 knows the images, the execution and the hardware; here they are null if unknown."""
    new = dict(old, schema_version=2)
    new["official_scores"] = new.pop("beside", [])
    if new.get("dataset") is not None:
        new["dataset"] = _dataset_from_1(new["dataset"])
    new["verdict"] = _verdict_from_1(new.get("verdict", "no claim"))
    if isinstance(new.get("claims"), list):
        new["claims"] = [
            dict(claim, verdict=_verdict_from_1(claim["verdict"])) for claim in new["claims"]
        ]
    cell = new.get("cell")
    if cell is not None:
        new["hardware"] = cell["hardware"]
        new["execution"] = dict(cell["form"], requested=None)
    elif new["kind"] == "eval":
        new["execution"] = _execution_from_1(new)
    return new


def _dataset_from_1(old: Content) -> Content:
    new = dict(old)
    limit = new.pop("limit", None)
    new["sample"] = None if limit is None else {"limit": limit, "order": "file"}
    new["complete_by"] = "counts" if new["complete"] else None
    return new


def _verdict_from_1(words: str) -> str:
    found = ON_SUBSET.fullmatch(words)
    return f"{VERDICTS[found[1]]} {found[2]}" if found else words


def _execution_from_1(record: Content) -> Content | None:
    """How an evaluation was computed; on an accelerator version 1 did not say whether in TF32."""
    if record["environment"]["device"] != "cpu":
        return None
    found = next((m for note in record.get("notes", []) if (m := FORM_NOTE.match(note))), None)
    words = [word.strip() for word in found[1].split(",")] if found else []
    execution: Content = {field: name in words for name, field in FLAGS.items()}
    execution["runtime"] = next((name for name in RUNTIMES if name in words), "torch")
    return execution | {"precision": "fp32", "requested": None}


UPGRADES: Mapping[int, Callable[[Content], Content]] = {1: _from_1}

"""Histories: one file for each thing measured, one line a night, only ever appended to.

Whoever is killed while writing leaves at most one line without an end.  Readers ignore it, and
the next writer cuts it off before it adds its own.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock
from pydantic import ValidationError

from posebench.files import strict_json
from posebench.nightly.observation import VERSION, Observation
from posebench.types.base import first_problem
from posebench.types.errors import UserError

SUFFIX = ".jsonl"
# Version of a line -> what brings it to the next one.  Released versions stay readable for ever:
# tests/records/schemas holds lines of each.
UPGRADES: Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}


def read_history(file: Path) -> list[Observation]:
    """Return the lines of one history, from old to new; none where there is no file.

    Raises:
        UserError: A line is broken, or was written by a newer posebench.
    """
    try:
        return _parsed(file.read_bytes(), file)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(
            f"The history {file} cannot be read: {error.strerror}.",
            "Give another folder with --history.",
        ) from error


def append(file: Path, observations: Iterable[Observation]) -> None:
    """Add lines that are not there yet, and wait until they are on the disk.

    What has the same key and night as a line of the file is there already: a night that was
    interrupted while writing goes on where it was.

    Raises:
        UserError: The file cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(file.parent / ".lock"), file.open("ab+") as stream:
            stream.seek(0)
            data = stream.read()
            stream.truncate(data.rfind(b"\n") + 1)
            there = {(each.key, each.night) for each in _parsed(data, file)}
            for each in observations:
                if (each.key, each.night) not in there:
                    stream.write(_line(each))
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise UserError(
            f"The history {file} cannot be written: {error.strerror}.",
            "Free some space, or give another folder with --history.",
        ) from error


def _line(each: Observation) -> bytes:
    content = {"version": VERSION} | each.model_dump(mode="json", exclude_defaults=True)
    return json.dumps(content, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def _parsed(data: bytes, file: Path) -> list[Observation]:
    whole = data[: data.rfind(b"\n") + 1]
    return [_parse(line, f"{file}:{n}") for n, line in enumerate(whole.splitlines(), 1) if line]


def _parse(line: bytes, where: str) -> Observation:
    try:
        content = strict_json(line, finite=True)
        version = content.get("version", 1)
        if version < VERSION:
            while version < VERSION:
                content, version = UPGRADES[version](content), version + 1
            line = json.dumps(content | {"version": VERSION}).encode()
        if version == VERSION:
            # as JSON: there text may be a date, and nothing else is converted
            return Observation.model_validate_json(line, strict=True)
    except ValidationError as error:
        problem = ": ".join(first_problem(error))
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        problem = f"{type(error).__name__}: {error}"
    else:
        raise UserError(
            f"{where} has version {version}, this posebench reads {VERSION}.", "Update posebench."
        )
    raise UserError(
        f"{where} is not a line of a history: {problem[:300]}.",
        "Take that line out, or restore the file.",
    )

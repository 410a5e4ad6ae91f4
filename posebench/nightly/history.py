"""Histories: one file a cell, one line a night, only ever appended to.

Whoever is killed while writing leaves at most one line without an end.  Readers ignore it, and
the next writer cuts it off before it adds its own.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock
from pydantic import ValidationError

from posebench.nightly.observation import VERSION, Observation
from posebench.types.errors import UserError

SUFFIX = ".jsonl"
# Version of a line -> what brings it to the next one.  Released versions stay readable for ever:
# tests/records/schemas holds lines of each.
UPGRADES: Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}


def read_history(file: Path) -> list[Observation]:
    """Return the lines of one history, from old to new; none where there is no file.

    Raises:
        UserError: A line in the middle is broken, or was written by a newer posebench.
    """
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(f"The history {file} cannot be read: {error.strerror}.") from error
    whole = data[: data.rfind(b"\n") + 1]
    return [_parse(line, f"{file}:{n}") for n, line in enumerate(whole.splitlines(), 1) if line]


def append(file: Path, observations: Iterable[Observation]) -> None:
    """Add lines that are not there yet, and wait until they are on the disk.

    What has the same key and night as a line of the file is there already: a night that was
    interrupted while writing goes on where it was.

    Raises:
        UserError: The file cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(file.parent / ".lock"):
            mend(file)
            there = {(line.key, line.night) for line in read_history(file)}
            new = [each for each in observations if (each.key, each.night) not in there]
            with file.open("ab") as stream:
                for each in new:
                    stream.write(_line(each))
                stream.flush()
                os.fsync(stream.fileno())
    except OSError as error:
        raise UserError(
            f"The history {file} cannot be written: {error.strerror}.",
            "Free some space, or give another folder with --history.",
        ) from error


def mend(file: Path) -> bool:
    """Cut off a line that has no end; return whether there was one."""
    if not file.is_file():
        return False
    with file.open("rb+") as stream:
        data = stream.read()
        whole = data.rfind(b"\n") + 1
        if whole == len(data):
            return False
        stream.truncate(whole)
    return True


def last_good(past: Sequence[Observation]) -> Observation | None:
    """Return the newest observation that later ones may be held against."""
    return next((each for each in reversed(past) if each.good), None)


def _line(each: Observation) -> bytes:
    content = {"version": VERSION} | each.model_dump(mode="json", exclude_defaults=True)
    return json.dumps(content, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def _parse(line: bytes, where: str) -> Observation:
    try:
        content = json.loads(line)
        version = content.get("version", 1)
        while version < VERSION:
            content = UPGRADES[version](content)
            version += 1
        if version == VERSION:
            return Observation.model_validate(content | {"version": VERSION})
    except (ValueError, ValidationError, AttributeError, TypeError, KeyError) as error:
        raise UserError(
            f"{where} is no line of a history ({type(error).__name__}).",
            "Take that line out, or restore the file.",
        ) from error
    raise UserError(
        f"{where} has version {version}, this posebench reads {VERSION}.", "Update posebench."
    )

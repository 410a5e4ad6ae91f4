"""Records as JSON files: one file a measurement, written whole or not at all.

``<output>/<zoo>/<id>/<dataset>/<kind>-<protocol>-<device>-<hash8>.json``. The hash covers what
was measured (weights, annotations, the bytes of the images, what was skipped, boxes, protocols,
batch, execution, hardware, who measured), not when or on which versions: another measurement
gets a file of its own, and the same one again replaces its file, so that a diff shows what moved.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from posebench.files import strict_json, write_whole
from posebench.records.migrate import UPGRADES, upgraded
from posebench.types.base import StrPath, first_problem, required_path
from posebench.types.entry import Entry
from posebench.types.errors import UserError
from posebench.types.record import SCHEMA_VERSION, Record
from posebench.types.timing import BenchmarkConfiguration

KINDS = ("eval", "speed")
LARGEST = 64 << 20  # bytes; a record has some ten thousand
LONGEST = 100_000  # characters of one text of a record; the longest have some hundred
LONGEST_NAME = 80  # of what a text of a record gives to the name of its file


@dataclass(frozen=True)
class LeftOut:
    """A file that is named like a record and cannot be read as one.

    Attributes:
        path: Relative to the folder that was searched.
        problem: What is wrong with it, in one sentence that names it.
        hint: What to do next; may be empty.
    """

    path: str
    problem: str
    hint: str = ""


@dataclass(frozen=True)
class Migration:
    """What became of one file.

    Attributes:
        old: Where the record was.
        new: Where it is now; None if it stayed as it was.
        problem: Why it stayed.
    """

    old: Path
    new: Path | None
    problem: str = ""


def to_json(record: Record) -> dict[str, Any]:
    """Return the record as JSON values.

    Numbers that JSON does not know (NaN where nothing was annotated) become None; an interval
    with such an end is left out.  Characters that UTF-8 does not know (half of a surrogate pair,
    as in names of files that are not UTF-8) become their escape, so that a record can always be
    written.
    """
    return _finite(record.model_dump(mode="json"))


def from_json(content: Any, *, source: str = "The record") -> Record:
    """Validate the JSON values of a record.

    Args:
        content: What ``json.loads`` gave.
        source: Named in errors, usually the file.

    Raises:
        UserError: It is not a record, or one of another schema version.
    """
    if not isinstance(content, dict) or "schema_version" not in content:
        raise UserError(
            f"{source} is not a posebench record: it has no schema_version.",
            "Point --records at a folder that posebench eval or posebench demo wrote.",
        )
    version = content["schema_version"]
    whole = isinstance(version, int) and not isinstance(version, bool)
    if not whole or (version != SCHEMA_VERSION and version not in UPGRADES):
        newer = whole and version > SCHEMA_VERSION
        raise UserError(
            f"{source} has schema version {str(version)[:40]}, "
            f"this posebench reads 1 to {SCHEMA_VERSION}.",
            "Update posebench." if newer else "Measure again: the record's command says how.",
        )
    try:
        _check_sizes(content)
        # as JSON: there a list may be a tuple and text a date, and nothing else is converted
        text = json.dumps(upgraded(content), allow_nan=False)
        return Record.model_validate_json(text, strict=True)
    except ValidationError as error:
        problem = ": ".join(first_problem(error))
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        problem = f"it does not follow schema version {version} ({type(error).__name__}: {error})"
    raise UserError(
        f"{source} is not a valid record: {problem[:300]}.",
        "docs/record.schema.json describes every field.",
    )


def file_name(record: Record) -> Path:
    """Return where ``save`` puts a record, relative to the output folder."""
    if record.cell:
        return speed_file_name(record.entry, record.cell)
    device = record.timings.device if record.timings else record.environment.device
    protocol = record.protocol.key if record.protocol else "none"
    name = f"{record.kind}-{_slug(protocol)}-{_slug(device)}-{_identity(record)[:8]}.json"
    dataset = record.dataset.id if record.dataset else record.entry.dataset
    return Path(record.entry.zoo, record.entry.id, _slug(dataset), name)


def speed_file_name(entry: Entry, cell: BenchmarkConfiguration) -> Path:
    """Return where the record of a timing goes, which is known before anything is timed."""
    parts = json.dumps([entry.key, cell.model_dump(mode="json")], sort_keys=True)
    name = hashlib.sha256(parts.encode()).hexdigest()[:8]
    device = _slug(cell.device)
    return Path(entry.zoo, entry.id, _slug(entry.dataset), f"speed-{device}-{name}.json")


def save(record: Record, output: Path, *, overwrite: bool = True) -> Path:
    """Write a record below ``output``.

    Args:
        record: To be written.
        output: Folder.
        overwrite: Replace an earlier record of the same measurement, or leave it as it is.

    Returns:
        The file.

    Raises:
        UserError: The folder cannot be written.
    """
    path = output / file_name(record)
    if not overwrite and path.is_file():
        return path
    _write(record, path)
    return path


def _write(record: Record, path: Path) -> None:
    text = json.dumps(to_json(record), indent=1, allow_nan=False, ensure_ascii=False)
    write_whole(path, f"{text}\n".encode())


def load(path: Path) -> Record:
    """Read one record.

    Raises:
        UserError: The file is missing, is not JSON, or is not a record of this version.
    """
    return _load(path, str(path))


def _load(path: Path, name: str) -> Record:
    """See ``load``; errors call the file by its name."""
    return from_json(_content(path, name), source=f"The record {name}")


def _content(path: Path, name: str) -> Any:
    """The JSON value of a file."""
    try:
        if path.exists() and (not path.is_file() or path.stat().st_size > LARGEST):
            raise UserError(f"{name} is not a record: it is not a file, or far too large for one.")
        return strict_json(path.read_bytes(), finite=True)
    except FileNotFoundError as error:
        raise UserError(f"There is no record {name}.", "posebench eval writes one.") from error
    except OSError as error:
        raise UserError(f"The record {name} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise UserError(
            f"The record {name} is not JSON ({error}).", "Delete it and measure again."
        ) from error


def load_records(folder: StrPath) -> list[Record]:
    """Read every record below a folder, in the order of their paths.

    Only files named as ``save`` names them are considered.

    Raises:
        UserError: The folder is missing, holds no record, or one of them cannot be read.

    Example:
        >>> import pathlib, posebench, tempfile
        >>> from posebench.records.store import save
        >>> folder = tempfile.mkdtemp()
        >>> record = posebench.evaluate("demo_s", dataset="synthetic", limit=4, threads=1)
        >>> _ = save(record, pathlib.Path(folder))
        >>> [record.entry.id for record in posebench.load_records(folder)]
        ['demo_s']
    """
    records, left_out = read_records(required_path(folder))
    if left_out:
        raise UserError(left_out[0].problem, left_out[0].hint)
    return records


def read_records(folder: Path) -> tuple[list[Record], tuple[LeftOut, ...]]:
    """Read every record below a folder, and go on without those that cannot be read.

    A second file that says it is the same measurement, made at the same moment, and holds other
    values is left out too: it would take the place of the first one.

    Returns:
        The records in the order of their paths, and the files that were left out.

    Raises:
        UserError: The folder is missing, or no file in it is named like a record.
    """
    if not folder.is_dir():
        raise UserError(
            f"There is no folder {folder} with records.",
            "posebench eval --output DIR and posebench demo make one.",
        )
    paths = sorted(path for kind in KINDS for path in folder.rglob(f"{kind}-*.json"))
    if not paths:
        raise UserError(
            f"There are no records below {folder}.",
            "posebench eval --output DIR and posebench demo write them.",
        )
    records, left_out = [], []
    first: dict[tuple[Path, datetime], tuple[str, Record]] = {}
    for path in paths:
        # names of files are bytes: what is not UTF-8 is shown, and cannot be written, as such
        name = os.fsencode(path.relative_to(folder)).decode("utf-8", "backslashreplace")
        try:
            record = _load(path, name)
        except UserError as error:
            left_out.append(LeftOut(name, error.message, error.hint))
            continue
        other, known = first.setdefault((file_name(record), record.created), (name, record))
        if known == record:
            records.append(record)
        else:
            problem = f"The record {name} has other values than {other}"
            problem += ", and says that it is the same measurement, made at the same moment."
            left_out.append(LeftOut(name, problem, "Delete the one that was changed."))
    return records, tuple(left_out)


def migrate(folder: Path) -> list[Migration]:
    """Rewrite every record below a folder that has an earlier schema version.

    A migrated record gets the file name of its measurement, in the folder where it was; its former
    file is removed after the new one is on the disk.  What cannot be read stays as it is.

    Returns:
        What became of each file that was not of the present version already.

    Raises:
        UserError: The folder is missing, or a file cannot be written.
    """
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}.", "Name the folder that holds the records.")
    done = []
    for path in sorted(path for kind in KINDS for path in folder.rglob(f"{kind}-*.json")):
        try:
            content = _content(path, str(path))
            record = from_json(content, source=f"The record {path}")
        except UserError as error:
            done.append(Migration(path, None, str(error)))
            continue
        if content["schema_version"] == SCHEMA_VERSION:
            continue
        target = path.with_name(file_name(record).name)
        if target != path and target.exists():
            done.append(Migration(path, None, f"{target} is there already"))
            continue
        _write(record, target)
        done.append(Migration(path, target))
        if target != path:
            path.unlink()
    return done


def save_all(records: Iterable[Record], output: Path) -> list[Path]:
    """Write several records; see ``save``."""
    return [save(record, output) for record in records]


def _identity(record: Record) -> str:
    data, boxes, timings = record.dataset, record.boxes, record.timings
    skipped = record.skipped
    parts = {
        "kind": record.kind,
        "entry": record.entry.key,
        "protocol": record.protocol_hash,
        "claims": sorted({(claim.claim.protocol or "", claim.axes) for claim in record.claims}),
        "checkpoint": record.checkpoint_sha256,
        "dataset": data
        and data.model_dump(
            include={
                *("id", "annotations_sha256", "images", "image_ids_sha256"),
                *("images_sha256", "sample"),
            }
        ),
        "skipped": skipped and [skipped.images, skipped.annotations, skipped.persons],
        "boxes": boxes and [boxes.source, boxes.sha256],
        "batch_size": record.environment.batch_size,
        "execution": record.execution and record.execution.configuration,
        "hardware": record.hardware,
        "artifact": record.artifact_sha256,
        "timings": timings and [timings.scope, timings.batch_size, timings.device, timings.threads],
    }
    if record.submitter is not None:
        parts["submitter"] = record.submitter
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _slug(text: str) -> str:
    # dots alone would be another folder
    return re.sub(r"[^A-Za-z0-9_.@]+|^\.+", "_", text)[:LONGEST_NAME]


def _check_sizes(value: Any) -> None:
    """Refuse numbers and texts that no measurement gives and that no page could show."""
    if isinstance(value, dict):
        for key, item in value.items():
            _check_sizes(key)
            _check_sizes(item)
    elif isinstance(value, list):
        for item in value:
            _check_sizes(item)
    elif isinstance(value, str) and len(value) > LONGEST:
        raise ValueError(f"a text of {len(value):,} characters, more than {LONGEST:,}")
    elif isinstance(value, int) and abs(value) >= 1 << 63:
        raise ValueError("a whole number of more than 64 bits")
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError("a number that is not finite")


def _finite(value: Any) -> Any:
    """NaN and infinities -> None; a pair with one of them -> None as a whole, then left out.

    Texts -> texts that UTF-8 can hold.
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, dict):
        cleaned = {key: _finite(item) for key, item in value.items()}
        return {key: item for key, item in cleaned.items() if not _lost_pair(value[key], item)}
    if isinstance(value, (list, tuple)):
        items = [_finite(item) for item in value]
        return (
            None
            if any(i is None and j is not None for i, j in zip(items, value, strict=True))
            else items
        )
    return value


def _lost_pair(before: Any, after: Any) -> bool:
    return isinstance(before, (list, tuple)) and after is None

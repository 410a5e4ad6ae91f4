"""Shares of an evaluation: ``eval --shard I/N`` on many machines, and ``merge``."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from posebench.datasets.files import read_bytes, strict_json
from posebench.records.files import write_whole
from posebench.run.evaluation import record_of
from posebench.run.outcome import ProgressOf, predict_protocols
from posebench.run.parts import Parts
from posebench.run.protocols import official_beside
from posebench.run.request import PATHS, Request, prepare
from posebench.types.errors import UserError
from posebench.types.record import Record

FORMAT = 1


def parse_shard(text: str) -> tuple[int, int]:
    """Return (I, N) of ``I/N``.

    Raises:
        UserError: It is no share.
    """
    number, _, count = text.partition("/")
    if not (number.isdigit() and count.isdigit() and 1 <= int(number) <= int(count)):
        raise UserError(f"--shard {text} is no share.", "Write I/N with I from 1 to N, as 2/4.")
    return int(number), int(count)


def evaluate_shard(
    request: Request,
    shard: tuple[int, int],
    folder: Path,
    *,
    resume: bool = True,
    command: str = "",
    progress: ProgressOf | None = None,
) -> Path:
    """Estimate one share of an evaluation's persons and leave the parts in a folder.

    Args:
        request: The same for every share.
        shard: (I, N), from 1.
        folder: For the parts and the share's manifest; shares may use one folder or one each.
        resume: Go on with parts that lie there.
        command: For the record that ``merge`` makes.
        progress: Called with (what, done, all).

    Returns:
        The manifest, written when the share is whole.

    Raises:
        UserError: As ``evaluate``.
    """
    parts = Parts(folder, resume, shard)
    prepared = prepare(request, parts=parts, progress=progress)
    official = official_beside(prepared.job.spec, prepared.protocols[:1])
    predict_protocols(prepared.job, (*prepared.protocols, *official))
    number, count = shard
    manifest = folder / f"shard-{number}-of-{count}.json"
    content = {
        "format": FORMAT,
        "shard": [number, count],
        "request": request.to_json(),
        "entry": prepared.entry.key,
        "checkpoint_sha256": prepared.job.model.checkpoint_sha256,
        "annotations_sha256": prepared.job.dataset.annotations_sha256,
        "command": command,
    }
    write_whole(manifest, json.dumps(content, indent=2).encode())
    return manifest


def merge(
    folders: Sequence[Path],
    *,
    save_predictions: Path | None = None,
    command: str = "",
    progress: ProgressOf | None = None,
    **paths: Path | None,
) -> Record:
    """Join the shares of one evaluation into its record, without a forward pass.

    Args:
        folders: Where ``evaluate_shard`` wrote.
        save_predictions: Folder for the predictions.
        command: For the record.
        progress: Called with (what, done, all).
        **paths: ``checkpoint``, ``data_root``, ``annotations``, ``images`` where they lie
            elsewhere than on the machines of the shares.

    Raises:
        UserError: Shares are missing, or do not belong together.
    """
    start = time.monotonic()
    manifests = [_read(file) for folder in folders for file in sorted(folder.glob("shard-*.json"))]
    _check(manifests, folders)
    request = Request.from_json(manifests[0]["request"])
    given: dict[str, Any] = {name: path for name, path in paths.items() if path is not None}
    request = replace(request, **given)
    prepared = prepare(request, parts=Parts(others=tuple(folders)), progress=progress)
    for name, found in (
        ("checkpoint_sha256", prepared.job.model.checkpoint_sha256),
        ("annotations_sha256", prepared.job.dataset.annotations_sha256),
    ):
        if manifests[0][name] != found:
            raise UserError(
                f"The shares were made with another {name.partition('_')[0]} file "
                f"(SHA-256 {str(manifests[0][name])[:12]}, here {str(found)[:12]}).",
                "Give the file that the shares were made with.",
            )
    return record_of(
        prepared,
        save_predictions=save_predictions,
        limit=request.limit,
        command=command or manifests[0]["command"],
        start=start,
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        content = strict_json(read_bytes(path, "The manifest"))
        if content["format"] == FORMAT:
            return dict(content)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(f"The manifest {path} cannot be read ({error}).") from error
    raise UserError(
        f"The manifest {path} has format {content['format']}, this posebench reads {FORMAT}.",
        "Merge with the version that made the shares.",
    )


def _check(manifests: Sequence[dict[str, Any]], folders: Sequence[Path]) -> None:
    if not manifests:
        raise UserError(
            f"No finished share in {', '.join(map(str, folders))}.",
            "`posebench eval --shard I/N --output DIR` makes them.",
        )
    first = _asked(manifests[0])
    for other in manifests[1:]:
        differing = [name for name, value in _asked(other).items() if value != first.get(name)]
        if differing:
            raise UserError(
                f"Shares {_name(manifests[0])} and {_name(other)} do not belong together: "
                f"they differ in {', '.join(differing)}.",
                "Merge the shares of one evaluation.",
            )
    count = manifests[0]["shard"][1]
    missing = set(range(1, count + 1)) - {manifest["shard"][0] for manifest in manifests}
    if missing:
        raise UserError(
            f"Of {count} shares {', '.join(map(str, sorted(missing)))} are missing.",
            "Evaluate them with the same options, or name their folders.",
        )


def _asked(manifest: dict[str, Any]) -> dict[str, Any]:
    """What shares of one evaluation have in common; paths may differ from machine to machine."""
    local = {*PATHS, "threads", "registry"}
    request = {k: v for k, v in manifest["request"].items() if k not in local}
    names = ("entry", "checkpoint_sha256", "annotations_sha256")
    return request | {name: manifest[name] for name in names} | {"count": manifest["shard"][1]}


def _name(manifest: dict[str, Any]) -> str:
    number, count = manifest["shard"]
    return f"{number}/{count}"

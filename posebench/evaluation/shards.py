"""Shards of an evaluation: ``eval --shard I/N`` on many machines, and ``merge``."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from posebench.evaluation.chunks import ChunkPlan, ChunkRef
from posebench.evaluation.evaluate import record_of
from posebench.evaluation.outcome import predict_protocols
from posebench.evaluation.prepare import prepare
from posebench.evaluation.protocols import official_beside
from posebench.files import read_bytes, strict_json, write_whole
from posebench.progress import Progress, shown
from posebench.records.environment import hardware_name, versions
from posebench.types.base import Frozen, StrPath, first_problem, given_path, required_paths
from posebench.types.errors import UserError
from posebench.types.record import Record, Sha256
from posebench.types.request import PATHS, EvalRequest

MOST_SHARDS = 100_000
ShardNumber = Annotated[int, Field(ge=1, le=MOST_SHARDS)]


class ShardManifest(Frozen):
    """What one finished shard says of itself; read as if it came from anybody.

    Attributes:
        shard: (I, N), from 1.
        request: What was to be evaluated, see ``EvalRequest.to_json``.
        entry: ``zoo/id`` of the model.
        checkpoint_sha256: Digest of the weights; None where they have no file.
        annotations_sha256: Digest of the annotation file.
        versions: Of what computed it.
        hardware: Name of the processor or accelerator.
        chunks: That the shard left, of every forward pass.
        command: For the record.
    """

    format: Literal[2] = 2
    shard: tuple[ShardNumber, ShardNumber]
    request: dict[str, Any]
    entry: str
    checkpoint_sha256: Sha256 | None
    annotations_sha256: Sha256
    versions: dict[str, str | None]
    hardware: str
    chunks: tuple[ChunkRef, ...]
    command: str

    @property
    def name(self) -> str:
        """``I of N``."""
        return "{} of {}".format(*self.shard)

    @property
    def settings(self) -> dict[str, Any]:
        """What shards of one evaluation have in common; paths may differ between machines."""
        local = {*PATHS, "threads", "registry"}
        asked = {name: value for name, value in self.request.items() if name not in local}
        shared = self.model_dump(include={"entry", "checkpoint_sha256", "annotations_sha256"})
        return asked | shared | self.versions | {"number of shards": self.shard[1]}


def parse_shard(text: str) -> tuple[int, int]:
    """Return (I, N) of ``I/N``.

    Raises:
        UserError: It is not a shard.
    """
    number, _, count = text.partition("/")
    try:
        shard = TypeAdapter(tuple[ShardNumber, ShardNumber]).validate_python((number, count))
    except ValidationError:
        shard = (1, 0)
    if shard[0] > shard[1] or not (number + count).isdecimal():
        raise UserError(
            f"--shard {text[:60]} is not a shard.",
            f"Write I/N with I from 1 to N, as 2/4; N is at most {MOST_SHARDS:,}.",
        )
    return shard


def evaluate_shard(
    request: EvalRequest,
    shard: tuple[int, int],
    folder: Path,
    *,
    resume: bool = True,
    command: str = "",
    progress: Progress | None = None,
) -> Path:
    """Estimate one shard of an evaluation's persons and leave the chunks in a folder.

    Args:
        request: The same for every shard.
        shard: (I, N), from 1.
        folder: For the chunks and the shard's manifest; shards may use one folder or one each.
        resume: Use finished chunks that are in the folder.
        command: For the record that ``merge`` makes.
        progress: Called with (what, done, all).

    Returns:
        The manifest, written when the shard is whole.

    Raises:
        UserError: As ``evaluate``.
    """
    plan = ChunkPlan(folder, resume, shard)
    prepared = prepare(request, chunk_plan=plan, progress=progress)
    official = official_beside(prepared.spec, prepared.protocols[:1])
    predict_protocols(prepared, (*prepared.protocols, *official))
    manifest = ShardManifest(
        shard=shard,
        request=request.to_json(),
        entry=prepared.model.entry.key,
        checkpoint_sha256=prepared.model.checkpoint_sha256,
        annotations_sha256=prepared.dataset.annotations_sha256,
        versions=versions(),
        hardware=hardware_name(prepared.options.device),
        chunks=tuple(prepared.chunks),
        command=command,
    )
    path = folder / "shard-{}-of-{}.json".format(*shard)
    write_whole(path, manifest.model_dump_json(indent=2).encode())
    return path


def merge(
    folders: Sequence[StrPath],
    *,
    checkpoint: StrPath | None = None,
    data_root: StrPath | None = None,
    annotations: StrPath | None = None,
    images: StrPath | None = None,
    save_predictions: StrPath | None = None,
    command: str = "",
    progress: Progress | None = None,
) -> Record:
    """Join the shards of one evaluation into its record, without a forward pass.

    The image files, annotations and weights must be here, and be those that the shards used.

    Args:
        folders: Where ``evaluate_shard`` (``posebench eval --shard``) wrote.
        checkpoint: Weights file, where it is not where it was on the machines of the shards.
        data_root: Folder of the dataset, likewise.
        annotations: Annotation file, likewise.
        images: Image folder, likewise.
        save_predictions: Folder for the predictions.
        command: For the record.
        progress: Called with (what, done, all); bars where somebody looks by default.

    Returns:
        The record that a single run gives.

    Raises:
        UserError: Shards are missing, were changed, or do not belong together.

    Example:
        >>> import pathlib, posebench, tempfile
        >>> from posebench.evaluation.shards import evaluate_shard
        >>> from posebench.types.request import EvalRequest
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> request = EvalRequest.of(model="demo_s", dataset="synthetic", limit=4, threads=1)
        >>> for number in (1, 2):
        ...     _ = evaluate_shard(request, (number, 2), folder)
        >>> posebench.merge([folder]).dataset.images
        4
    """
    start = time.monotonic()
    places = required_paths("folders", folders)
    found = [
        (place, _read(file)) for place in places for file in sorted(place.glob("shard-*.json"))
    ]
    manifests = [manifest for _, manifest in found]
    _check(manifests, places)
    request = _request(manifests[0])
    given = {
        "checkpoint": given_path(checkpoint),
        "data_root": given_path(data_root),
        "annotations": given_path(annotations),
        "images": given_path(images),
    }
    moved = {name: path for name, path in given.items() if path is not None}
    request = request.model_copy(update=moved)
    finished = tuple((folder, manifest.chunks) for folder, manifest in found)
    first = manifests[0]
    with shown(progress) as report:
        prepared = prepare(request, chunk_plan=ChunkPlan(finished=finished), progress=report)
        _check_file("weights", first.checkpoint_sha256, prepared.model.checkpoint_sha256)
        _check_file("annotations", first.annotations_sha256, prepared.dataset.annotations_sha256)
        return record_of(
            prepared,
            save_predictions=given_path(save_predictions),
            command=command or first.command,
            start=start,
            hardware=", ".join(sorted({manifest.hardware for manifest in manifests})),
        )


def _read(path: Path) -> ShardManifest:
    """Read a manifest.

    Raises:
        UserError: It is damaged, or of another format.
    """
    again = "Evaluate this shard again."
    try:
        data = read_bytes(path, "The manifest")
        content = strict_json(data, finite=True)
        if isinstance(content, dict) and content.get("format") in (1, "1"):
            raise UserError(
                f"The manifest {path} was written by an earlier posebench.",
                "Merge with the version that made the shards, or evaluate them again.",
            )
        manifest = ShardManifest.model_validate_json(data, strict=True)
    except ValidationError as error:
        where, problem = first_problem(error)
        raise UserError(
            f"The manifest {path} is damaged ({where[:80]}: {problem}).", again
        ) from error
    except ValueError as error:
        raise UserError(f"The manifest {path} cannot be read ({error}).", again) from error
    if manifest.shard[0] > manifest.shard[1]:
        raise UserError(f"The manifest {path} is damaged: it is shard {manifest.name}.", again)
    return manifest


def _request(manifest: ShardManifest) -> EvalRequest:
    try:
        return EvalRequest.from_json(manifest.request)
    except UserError as error:
        raise UserError(
            f"The manifest of shard {manifest.name} is damaged: {error}", "Evaluate it again."
        ) from error


def _check(manifests: Sequence[ShardManifest], folders: Sequence[Path]) -> None:
    if not manifests:
        raise UserError(
            f"No finished shard in {', '.join(map(str, folders))}.",
            "`posebench eval --shard I/N --output DIR` makes them.",
        )
    first = manifests[0]
    for other in manifests[1:]:
        one, another = first.settings, other.settings
        names = [name for name in {**one, **another} if one.get(name) != another.get(name)]
        if names:
            raise UserError(
                f"Shards {first.name} and {other.name} do not belong together: "
                f"they differ in {', '.join(names)}.",
                "Merge the shards of one evaluation.",
            )
    here = versions()
    changed = [name for name in here if first.versions.get(name) != here[name]]
    if changed:
        told = ", ".join(f"{name} {first.versions.get(name)}" for name in changed)
        raise UserError(
            f"The shards were made with {told}, which is not what is installed here "
            f"({', '.join(f'{name} {here[name]}' for name in changed)}).",
            "Merge them where the same versions are installed.",
        )
    count = first.shard[1]
    missing = sorted(set(range(1, count + 1)) - {manifest.shard[0] for manifest in manifests})
    if missing:
        listed = ", ".join(map(str, missing[:20])) + (", ..." if len(missing) > 20 else "")
        verb = "share {} of {} is missing" if len(missing) == 1 else "shares {} of {} are missing"
        raise UserError(
            f"Nothing to merge yet: {verb.format(listed, count)}.",
            "Evaluate what is missing with the same options, or name its folder.",
        )


def _check_file(what: str, theirs: str | None, here: str | None) -> None:
    if theirs != here:
        raise UserError(
            f"The shards were made with another file of {what} "
            f"(SHA-256 {str(theirs)[:12]}, here {str(here)[:12]}).",
            "Give the file that the shards were made with.",
        )

"""``score``: saved predictions, posebench's own or another tool's, scored again."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from posebench.analysis.results_file import read_results
from posebench.datasets.sample import restrict
from posebench.evaluation.data import open_dataset, sample_of
from posebench.evaluation.evaluate import dataset_info, finite
from posebench.files import read_bytes
from posebench.inference.select import in_keypoint_set, select
from posebench.records import store
from posebench.records.formatting import describe_selection
from posebench.records.predictions import check_numbers, digest, load_predictions
from posebench.registry import Registry, load_registry
from posebench.scoring.reference_evaluators import OWN, reference_scores
from posebench.scoring.scorers import score as score_results
from posebench.types.arrays import Dataset, Ints, Predictions, Results, take
from posebench.types.comparison import Scored
from posebench.types.dataset import DatasetSpec
from posebench.types.errors import UserError
from posebench.types.protocol import Protocol
from posebench.types.record import Record
from posebench.types.request import DataPaths, ScoringContext

# Axes of Protocol that work on saved predictions, and those that work on final scores.
CHOICES, SCORING = tuple(Protocol.axes("selection", "scoring")), tuple(Protocol.axes("scoring"))
# Name of the protocol of a results file, and what no one can say of predictions without a record.
AS_WRITTEN = "as_written"
UNKNOWN = "flip test and decoding are unknown"


@dataclass(frozen=True, eq=False)
class LoadedPredictions:
    """Predictions beside the ground truth they were made for.

    Attributes:
        name: The file's name.
        sha256: Digest of the file.
        dataset: Restricted to the images that were evaluated.
        results: Selected, in the dataset's keypoint set.
        protocol: How they were selected and are to be scored.
        boxes: Where the persons come from, as far as the file tells.
        record: That names the file.
    """

    name: str
    sha256: str
    dataset: Dataset
    results: Results
    protocol: Protocol
    boxes: str | None
    record: Record | None


def score(predictions: Path, context: ScoringContext, *, engine: str = OWN) -> Scored:
    """Score a file of predictions.

    Args:
        predictions: A record with saved predictions, posebench's columnar file, or a results
            file in COCO's format.
        context: Data and choices.
        engine: ``own``, or the name of a published evaluator that is installed.

    Raises:
        UserError: A file is missing or does not fit; the sentence says where.
    """
    return scored(load_predictions_of(predictions, context), engine)


def scored(loaded: LoadedPredictions, engine: str = OWN) -> Scored:
    """Score loaded predictions; see ``score``."""
    found = score_results(loaded.results, loaded.dataset, loaded.protocol)
    notes = _other_annotations(loaded)
    name, values = OWN, finite(found)
    if engine != OWN:
        theirs, name = reference_scores(engine, loaded.results, loaded.dataset, loaded.protocol)
        notes += (_agreement(found.values, theirs, name),)
        values |= {metric: v for metric, v in theirs.items() if np.isfinite(v)}
    return Scored(
        scores=values,
        intervals=found.intervals,
        scorer=found.scorer,
        engine=name,
        notes=notes,
        **described(loaded, found.persons, found.images),
    )


def described(loaded: LoadedPredictions, persons: int, images: int) -> dict[str, Any]:
    """Return the fields of ``Scored`` that tell what was scored.

    Args:
        loaded: The predictions.
        persons: Annotated persons that count.
        images: Images with such a person.
    """
    record = loaded.record
    return {
        "name": loaded.name,
        "sha256": loaded.sha256,
        "entry": record.entry.key if record else None,
        "protocol": known_choices(loaded),
        "boxes": loaded.boxes,
        "read": len(loaded.results.predictions),
        "kept": int(loaded.results.kept.sum()),
        "dataset": dataset_info(loaded.dataset, persons, images),
    }


def known_choices(loaded: LoadedPredictions) -> dict[str, Any]:
    """Return what is known of how predictions were made and scored.

    A record knows how they were made; of a file alone nobody does, and only what was done to it
    here is known: its selection (not of a results file, whose scores are final) and its scoring.

    Returns:
        Field of ``Protocol`` -> value, None where it is not known; ``summary`` in words.
    """
    used, final = loaded.protocol, loaded.protocol.name == AS_WRITTEN
    made = loaded.record.protocol if loaded.record else None
    known: dict[str, Any] = dict.fromkeys(("name", "version", "summary", *Protocol.axes()))
    applied = {axis: getattr(used, axis) for axis in (SCORING if final else CHOICES)}
    known |= (made.model_dump() if made else {}) | applied
    known["annotations"] = Path(loaded.dataset.annotations_file).stem
    known["summary"] = used.summary if final else describe_selection(used)
    if final:
        known |= {"name": used.name, "version": used.version}
    if made is None:
        known["boxes"] = loaded.boxes
        known["summary"] += f"; {'' if loaded.boxes else 'boxes, '}{UNKNOWN}"
    elif any(getattr(made, axis) != value for axis, value in applied.items()):
        known |= {"name": "custom", "version": 1}
    return known


def _other_annotations(loaded: LoadedPredictions) -> tuple[str, ...]:
    known = loaded.record.dataset if loaded.record else None
    if known is None or known.annotations_sha256 == loaded.dataset.annotations_sha256:
        return ()
    return ("the record was measured on other annotations (their SHA-256 differs)",)


def _agreement(own: dict[str, float], theirs: dict[str, float], name: str) -> str:
    apart = max((abs(own[m] - v) for m, v in theirs.items() if np.isfinite(v)), default=0.0)
    if apart < 1e-9:
        return f"posebench's own engine gives the numbers of {name}; the intervals are its own"
    return f"posebench's own engine differs from {name} by up to {apart:.3g} points"


def load_predictions_of(path: Path, context: ScoringContext) -> LoadedPredictions:
    """Read predictions and the annotations they belong to, and select persons.

    Raises:
        UserError: See ``score``.
    """
    registry = load_registry(context.registry)
    record = _record(path)
    spec = registry.dataset(_dataset_name(record, context))
    protocol = _protocol(record, spec, registry, context)
    folder = context.annotations.parent if context.annotations else None
    paths = DataPaths(context.data_root, context.annotations, images=folder)
    whole = open_dataset(spec, paths, protocol.annotations, with_images=False)
    sample = sample_of(context.limit) if context.limit is not None else None
    if sample is None and record and record.dataset:
        sample = record.dataset.sample
    dataset = restrict(whole, sample) if sample is not None else whole
    file = path if record is None else _saved(path, record)
    if file.suffix == ".npz":
        raw = load_predictions(file)
        check_numbers(raw, file)
        _check_record(raw, record, file)
        _check_images(raw.image_id, whole, file)
        boxes = record.boxes.source if record and record.boxes else _source(raw)
        raw = in_keypoint_set(raw, dataset.keypoint_set)
        results = on_images(select(raw, protocol), dataset)
        sha256 = hashlib.sha256(read_bytes(file, "The predictions")).hexdigest()
    else:
        results, sha256, boxed = read_results(file, whole)
        _check_images(results.predictions.image_id, whole, file)
        results = on_images(results, dataset)
        protocol, boxes = _as_written(protocol, context, boxed), None
    return LoadedPredictions(path.name, sha256, dataset, results, protocol, boxes, record)


def _record(path: Path) -> Record | None:
    """The record of an evaluation, if that is what the file is."""
    if not path.is_file():
        raise UserError(
            f"{path} is not a file." if path.exists() else f"There is no file {path}.",
            "Give a record of `posebench eval --save-predictions`, a .npz or a results file.",
        )
    if path.suffix != ".json":
        return None
    with path.open("rb") as file:
        if not file.read(200).lstrip().startswith(b"{"):
            return None
    if b'"schema_version"' not in read_bytes(path, "The file"):
        return None
    record = store.load(path)
    if record.kind != "eval" or record.predictions_sha256 is None:
        raise UserError(f"The record {path} holds no evaluation.", "Give one of `posebench eval`.")
    return record


def _saved(path: Path, record: Record) -> Path:
    """The columnar file that ``eval --save-predictions`` left beside a record."""
    name = f"predictions-*-{str(record.predictions_sha256)[:8]}.npz"
    for folder in path.resolve().parents:
        files = sorted((folder / "predictions").glob(name))
        if files:
            return files[0]
    raise UserError(
        f"The predictions of the record {path} are not saved: there is no predictions/{name} "
        "in the folders above it.",
        "`posebench eval --save-predictions` writes them.",
    )


def _dataset_name(record: Record | None, context: ScoringContext) -> str:
    if context.dataset is not None:
        return context.dataset
    if record is None or record.dataset is None:
        raise UserError(
            "Which dataset were the predictions made for?", "Name it with --dataset, as coco."
        )
    return record.dataset.id


def _protocol(
    record: Record | None, spec: DatasetSpec, registry: Registry, context: ScoringContext
) -> Protocol:
    if context.protocol is not None:
        base = registry.protocol(context.protocol)
    elif record is not None and record.protocol is not None:
        base = record.protocol
    else:
        base = registry.protocol("common").with_choices(scorer=spec.official_scorer)
        if spec.official_scorer == "mpii_pckh":  # looks at no score and takes everybody
            base = base.with_choices(rescoring="none", nms="none")
    return base.with_choices(**context.choices)


def _as_written(protocol: Protocol, context: ScoringContext, boxed: bool) -> Protocol:
    """The protocol of a results file: its scores are final."""
    asked = [axis for axis in Protocol.axes("selection") if axis in context.choices]
    if asked:
        raise UserError(
            f"A results file is scored as it is: {', '.join(asked)} cannot be chosen.",
            "Only posebench's columnar file (.npz) holds what they work on.",
        )
    area = context.choices.get("result_area") or ("box" if boxed else "extent")
    return protocol.model_copy(
        update={
            "name": AS_WRITTEN,
            "version": 1,
            "summary": "persons and scores as the results file has them",
            "rescoring": "none",
            "nms": "none",
            "result_area": area,
        }
    )


def _check_record(raw: Predictions, record: Record | None, file: Path) -> None:
    if record is not None and digest(raw) != record.predictions_sha256:
        raise UserError(
            f"{file} does not hold the predictions that the record speaks of.",
            "Evaluate again with --save-predictions.",
        )


def _check_images(image_id: Ints, dataset: Dataset, file: Path) -> None:
    if not len(image_id):
        raise UserError(f"{file} holds no person.", "An evaluator would give 0.0.")
    strange = np.setdiff1d(image_id, dataset.images.id)
    if len(strange):
        raise UserError(
            f"{file} has persons in {len(strange)} images that {dataset.annotations_file} does "
            f"not list, the first is {strange[0]}.",
            "Give the dataset or the annotation file that they were estimated for.",
        )


def _source(raw: Predictions) -> str | None:
    """Boxes that a detector scored are a detector's; a score of 1 may mean anything."""
    return "detector" if bool((raw.box_score != 1).any()) else None


def on_images(results: Results, dataset: Dataset) -> Results:
    """Return the rows on a dataset's images."""
    rows = np.isin(results.predictions.image_id, dataset.images.id)
    return Results(take(results.predictions, rows), results.score[rows], results.kept[rows])

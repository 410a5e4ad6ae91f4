"""What saved predictions and explanations add to a model's page.

Heavy modules are imported inside functions: a page without predictions needs none of them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup

from posebench.files import strict_json
from posebench.records.store import KINDS, LeftOut, file_name
from posebench.site.claims import record_name
from posebench.site.svg import Line, curves
from posebench.types.diagnosis import Diagnosis
from posebench.types.errors import UserError
from posebench.types.explanation import Explanation
from posebench.types.record import Record

if TYPE_CHECKING:
    from posebench.analysis.score import LoadedPredictions

EXPLANATIONS = "explain*.json"
DRAWN_THRESHOLDS = ((0.5, "loose"), (0.75, "middle"), (0.95, "strict"))


@dataclass(frozen=True)
class GalleryItem:
    """One person of the gallery.

    Attributes:
        group: ``best``, ``median`` or ``worst``.
        words: How similar, to whom.
        drawing: Skeletons of annotation and prediction.
        size: Width and height of both, px of the image.
        image: JPEG of the same extent; None where the licence does not allow to show it.
    """

    group: str
    words: str
    drawing: Markup
    size: tuple[int, int]
    image: bytes | None


@dataclass(frozen=True)
class PredictionAnalysis:
    """What the predictions of one record show.

    Attributes:
        curves: (part of the body, drawing of precision over recall).
        diagnosis: Which errors cost how much; None where OKS is not the measure.
        people: Best, median and worst.
        licence: Of the images, and whether they may be shown.
    """

    curves: tuple[tuple[str, Markup], ...] = ()
    diagnosis: Diagnosis | None = None
    people: tuple[GalleryItem, ...] = ()
    licence: str = ""


def analyse_predictions(
    folder: Path,
    records: Sequence[Record],
    *,
    data_root: Path | None = None,
    registry: Sequence[Path] = (),
    warn: Callable[[str], None] = lambda _: None,
) -> dict[str, PredictionAnalysis]:
    """Analyse every record whose predictions were saved next to it and whose dataset is here.

    Args:
        folder: Of the records, searched through.
        records: That were read from it.
        data_root: Of datasets that posebench does not draw itself.
        registry: Folders of further rows.
        warn: Called with a sentence about predictions that cannot be used.

    Returns:
        Address of the record -> what its predictions show.
    """
    from posebench.evaluation.data import DRAWN

    paths = {path.name: path for kind in KINDS for path in folder.rglob(f"{kind}-*.json")}
    saved = {path.stem.rpartition("-")[2] for path in folder.rglob("predictions/*.npz")}
    found = {}
    for record in records:
        digest, path = record.predictions_sha256, paths.get(file_name(record).name)
        if record.kind != "eval" or digest is None or digest[:8] not in saved or path is None:
            continue
        try:
            # a folder of the user's never holds what posebench draws itself
            drawn = record.dataset is not None and record.dataset.id in DRAWN
            found[record_name(record)] = study(path, None if drawn else data_root, registry)
        except UserError as error:
            warn(f"{record.entry.key}: its predictions are not considered. {error}")
    return found


def study(
    path: Path, data_root: Path | None = None, registry: Sequence[Path] = ()
) -> PredictionAnalysis:
    """Look at the predictions of one record.

    Args:
        path: The record's file.
        data_root: Of datasets that posebench does not draw itself.
        registry: Folders of further rows.

    Raises:
        UserError: Predictions or data are missing or do not fit.
    """
    from posebench.analysis.diagnose import diagnose
    from posebench.analysis.score import load_predictions_of
    from posebench.registry import load_registry
    from posebench.scoring.evaluator_rules import EVALUATOR_RULES
    from posebench.site.gallery import gallery
    from posebench.types.request import ScoringContext

    where = ScoringContext(data_root=data_root, registry=tuple(registry))
    opened = load_predictions_of(path, where)
    spec = load_registry(tuple(where.registry)).dataset(opened.dataset.id)
    told_apart = opened.protocol.scorer in EVALUATOR_RULES
    people, licence = gallery(opened, spec.licence)
    return PredictionAnalysis(
        curves=_curves(opened) if told_apart else (),
        diagnosis=diagnose(path, where) if told_apart else None,
        people=people,
        licence=licence,
    )


def _curves(opened: LoadedPredictions) -> tuple[tuple[str, Markup], ...]:
    from posebench.scoring.accumulate import RECALLS
    from posebench.scoring.evaluator_rules import EVALUATOR_RULES
    from posebench.scoring.keypoint_ap import evaluate_parts
    from posebench.scoring.matching import THRESHOLDS

    protocol = opened.protocol
    parts = evaluate_parts(
        opened.results,
        opened.dataset,
        EVALUATOR_RULES[protocol.scorer],
        max_detections=protocol.max_detections,
        result_area=protocol.result_area,
    )
    drawn = []
    for part, evaluation in parts.items():
        precision = evaluation.precision[..., 0]
        lines = [
            Line(f"OKS {threshold:g}", list(zip(RECALLS, precision[row], strict=True)), kind)
            for threshold, kind in DRAWN_THRESHOLDS
            for row in [int(np.abs(THRESHOLDS - threshold).argmin())]
            if (precision[row] >= 0).all()
        ]
        if lines:
            drawn.append((part, curves(lines, "Recall", "Precision")))
    return tuple(drawn)


def find_explanations(folder: Path) -> tuple[tuple[Explanation, ...], tuple[LeftOut, ...]]:
    """Read what ``posebench explain --json`` printed into files named ``explain*.json``.

    Returns:
        The explanations, and the files that hold something else.
    """
    found, left_out = [], []
    for path in sorted(folder.rglob(EXPLANATIONS)):
        try:
            content = dict(strict_json(path.read_bytes(), finite=True))
            content.pop("sentence", None)  # said anew
            text = json.dumps(content, allow_nan=False)
            found.append(Explanation.model_validate_json(text, strict=True))
        except (OSError, ValueError, TypeError) as error:
            name = os.fsencode(path.relative_to(folder)).decode("utf-8", "backslashreplace")
            problem = f"{name} is not what `posebench explain --json` prints"
            problem += f": {error.strerror}." if isinstance(error, OSError) else "."
            left_out.append(LeftOut(name, problem, "Rename it, or write it again."))
    return tuple(found), tuple(left_out)

"""Predictions as files: our raw columnar format and COCO's results format.

The raw file is an uncompressed ``.npz`` with one array a field of ``Predictions`` plus
``format_version``; docs/predictions.md describes it for other tools.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from pathlib import Path

import numpy as np

from posebench.keypoints import keypoint_set
from posebench.records.files import write_whole
from posebench.scoring.coco import coco_results
from posebench.types.arrays import Predictions, Results
from posebench.types.errors import UserError

FORMAT_VERSION = 1
DTYPES = {
    "keypoints": np.float32,
    "joint_scores": np.float32,
    "box": np.float64,
    "box_score": np.float64,
    "crop_area": np.float64,
    "image_id": np.int64,
    "person_id": np.int64,
}


def digest(predictions: Predictions) -> str:
    """SHA-256 over the arrays' bytes, field by field: equal digests mean equal predictions."""
    state = hashlib.sha256()
    for name, dtype in DTYPES.items():
        array = np.ascontiguousarray(getattr(predictions, name), dtype)
        state.update(f"{name}{array.shape}".encode())
        state.update(array.tobytes())
    return state.hexdigest()


def save_predictions(predictions: Predictions, path: Path) -> None:
    """Write the raw columnar file.

    Raises:
        UserError: The file cannot be written.
    """
    arrays = {name: np.asarray(getattr(predictions, name), t) for name, t in DTYPES.items()}
    buffer = io.BytesIO()
    np.savez(
        buffer,
        format_version=np.int64(FORMAT_VERSION),
        keypoint_set=np.str_(predictions.keypoint_set),
        **arrays,  # type: ignore[arg-type]
    )
    write_whole(path, buffer.getvalue())


def load_predictions(path: Path) -> Predictions:
    """Read the raw columnar file.

    Raises:
        UserError: The file is missing, of another format, or its arrays do not fit together.
    """
    try:
        with np.load(path, allow_pickle=False) as content:
            fields = {name: content[name] for name in content.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"The predictions {path} cannot be read ({error}).") from error
    missing = {*DTYPES, "keypoint_set", "format_version"} - fields.keys()
    if missing:
        raise UserError(f"The predictions {path} have no {', '.join(sorted(missing))}.")
    if int(fields["format_version"]) != FORMAT_VERSION:
        raise UserError(
            f"The predictions {path} have format {fields['format_version']}, "
            f"this posebench reads {FORMAT_VERSION}.",
            "Write them again with this version.",
        )
    name = str(fields["keypoint_set"])
    people, joints = len(fields["person_id"]), len(keypoint_set(name).names)
    shapes = {
        "keypoints": (people, joints, 2),
        "joint_scores": (people, joints),
        "box": (people, 4),
    }
    for field, dtype in DTYPES.items():
        array, expected = fields[field], shapes.get(field, (people,))
        if array.shape != expected or array.dtype != dtype:
            raise UserError(
                f"{path}: {field} is {array.dtype}{array.shape}, "
                f"it must be {np.dtype(dtype)}{expected}."
            )
    return Predictions(keypoint_set=name, **{field: fields[field] for field in DTYPES})


def save_coco_results(results: Results, path: Path, category_id: int = 1) -> None:
    """Write the kept persons as a COCO results JSON.

    Raises:
        UserError: The file cannot be written.
    """
    write_whole(path, json.dumps(coco_results(results, category_id)).encode())

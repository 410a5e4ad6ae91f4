"""Predictions as files: our raw columnar format and COCO's results format.

The raw file is an uncompressed ``.npz`` with one array a field of ``Predictions`` plus
``format_version``; docs/predictions.md describes it for other tools.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from posebench.datasets.rows import MOST
from posebench.files import write_whole
from posebench.keypoints import keypoint_set
from posebench.scoring.coco import coco_results
from posebench.types.arrays import Predictions, Results
from posebench.types.errors import UserError

FORMAT_VERSION = 1
MOST_UNFOLDING = 16  # predictions hardly shrink
# What a file that is not as it should be leads to.
WRONG = (
    *(OSError, EOFError, LookupError, MemoryError, RecursionError, RuntimeError, SyntaxError),
    *(TypeError, ValueError, OverflowError, NotImplementedError, zipfile.BadZipFile, zlib.error),
)
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


def save_predictions(predictions: Predictions, path: Path) -> str:
    """Write the raw columnar file.

    Returns:
        The SHA-256 of the file's bytes.

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
    data = buffer.getvalue()
    write_whole(path, data)
    return hashlib.sha256(data).hexdigest()


def load_predictions(path: Path) -> Predictions:
    """Read the raw columnar file.

    Raises:
        UserError: The file is missing, of another format, or its arrays do not fit together.
    """
    try:
        fields = _arrays(path)
    except WRONG as error:
        words = " ".join(str(error).split())[:160] or type(error).__name__
        raise UserError(f"The predictions {path} cannot be read ({words}).") from error
    missing = {*DTYPES, "keypoint_set", "format_version"} - fields.keys()
    if missing:
        raise UserError(f"The predictions {path} have no {', '.join(sorted(missing))}.")
    name, version = fields["keypoint_set"], fields["format_version"]
    if name.shape or name.dtype.kind != "U" or version.shape or version.dtype != np.int64:
        raise UserError(f"The predictions {path} do not say their keypoint set and format.")
    if int(version) != FORMAT_VERSION:
        raise UserError(
            f"The predictions {path} have format {version}, this posebench reads {FORMAT_VERSION}.",
            "Write them again with this version.",
        )
    known = str(name)
    people, joints = fields["person_id"].size, len(keypoint_set(known).names)
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
    return Predictions(keypoint_set=known, **{field: fields[field] for field in DTYPES})


def check_numbers(predictions: Predictions, path: Path) -> None:
    """Refuse predictions whose numbers cannot be: a suppression drops persons by them in silence.

    Args:
        predictions: Of ``load_predictions``.
        path: Of the file, for the sentence.

    Raises:
        UserError: A number is not finite or beyond every image, or a size is negative; the
            sentence names the first such row.
    """
    if not len(predictions):
        return
    box = predictions.box
    columns = (
        ("keypoints", predictions.keypoints, -MOST),
        ("joint_scores", predictions.joint_scores, -MOST),
        ("box", box[:, :2], -MOST),
        ("box", box[:, 2:], 0.0),
        ("box_score", predictions.box_score, -MOST),
        ("crop_area", predictions.crop_area, 0.0),
    )
    for name, column, least in columns:
        numbers = column.reshape(len(predictions), -1)
        wrong = np.argwhere(~((numbers >= least) & (numbers <= MOST)))  # a NaN is neither
        if len(wrong):
            row, at = wrong[0]
            raise UserError(
                f"Row {row} of {path} has {numbers[row, at]:g} in its {name}, which must lie "
                f"between {least:g} and {MOST:g}.",
                "Check what wrote the file, or leave such rows out.",
            )


def _arrays(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Arrays of an ``.npz``; none may claim more bytes than the file holds for it.

    Raises:
        ValueError: One does, or a member is packed beyond reason; also much else of ``WRONG``.
    """
    if path.exists() and not path.is_file():
        raise ValueError("it is not a file")
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if sum(member.file_size for member in members) > MOST_UNFOLDING * path.stat().st_size:
            raise ValueError("it unfolds beyond reason")
        found: dict[str, np.ndarray[Any, Any]] = {}
        for member in members:
            data = archive.read(member)
            _check_header(io.BytesIO(data), len(data), member.filename)
            array = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
            name = member.filename.removesuffix(".npy")
            if name in found:
                raise ValueError(f"it holds {name} twice")
            found[name] = array
    return found


def _check_header(data: io.BytesIO, size: int, name: str) -> None:
    version = np.lib.format.read_magic(data)
    if version != (1, 0):
        raise ValueError(f"{name} has the array format {version}")
    shape, _, dtype = np.lib.format.read_array_header_1_0(data)
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize > size:
        raise ValueError(f"{name} claims the shape {shape}")


def save_coco_results(results: Results, path: Path, category_id: int = 1) -> None:
    """Write the kept persons as a COCO results JSON.

    Raises:
        UserError: The file cannot be written.
    """
    write_whole(path, json.dumps(coco_results(results, category_id)).encode())

"""MPII as HRNet and mmpose publish its validation persons -> ``Dataset``."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from posebench.datasets.coco import FARTHEST, NOWHERE, WRONG, Row, check_inside
from posebench.datasets.files import kind_of, parse_json, read_bytes
from posebench.datasets.matlab import Value, read_matlab
from posebench.keypoints import keypoint_set as named_set
from posebench.types.arrays import Dataset, Floats, GroundTruth, Images
from posebench.types.errors import UserError
from posebench.types.faults import Fault, refuse

# A person's height is stored in units of this many pixels (human-pose.mpi-inf.mpg.de).
UNIT = 200.0
JOINTS = 16
LARGEST_SCALE = 1e6  # no picture has so many pixels; squares of it are still numbers
# HRNet's order, as ``dataset_joints`` of the published gt_valid.mat spells it; posebench's set
# mpii_16 has the same order (deep-high-resolution-net.pytorch lib/dataset/mpii.py).
SPELLINGS = (
    *("rank", "rkne", "rhip", "lhip", "lkne", "lank", "pelv", "thor", "neck", "head"),
    *("rwri", "relb", "rsho", "lsho", "lelb", "lwri"),
)
COLUMNS = ("dataset_joints", "jnt_missing", "pos_gt_src", "headboxes_src")
LARGEST_MAT = 64 << 20  # the published one is far smaller; keeps a wrong file out of memory


@dataclass(frozen=True)
class HeadFile:
    """What a ``gt_*.mat`` adds to the list of persons.

    Attributes:
        position: (G, 16, 2) px, counted from 1, in the order of ``mpii_16``.
        labelled: (G, 16) bool.
        head: (G,) diagonal of the head box, px.
    """

    position: Floats
    labelled: np.ndarray[Any, Any]
    head: Floats


def load_mpii(
    annotations: Path,
    images: Path,
    *,
    dataset_id: str,
    keypoint_set: str,
    tolerant: bool = False,
) -> Dataset:
    """Load MPII's persons with the centre and scale that top-down models crop by.

    A file beside the list, found by ``head_file``, brings joints and head sizes; without it the
    joints are the list's own and ``head_size`` is None, so that PCKh cannot be computed.

    Args:
        annotations: ``valid.json`` (HRNet) or ``mpii_val.json`` (mmpose): a list of {image,
            center, scale, joints, joints_vis}.
        images: Folder of the image files.
        dataset_id: Id in the registry.
        keypoint_set: ``mpii_16``.
        tolerant: Keep going past persons that cannot be used: ``Dataset.faults`` has them.

    Returns:
        Rows in the order of the file, their ids from 0.  Keypoints, centre and scale are as
        annotated: **counted from 1**, scale in units of 200 px.  Boxes are the squares that
        centre and scale describe.  Image ids count from 1 in order of appearance; widths and
        heights are 0, because no file states them.  The digest covers both files.

    Raises:
        UserError: A file is something else, or the two do not belong together.
    """
    what = "The annotation file"
    data = read_bytes(annotations, what)
    content = parse_json(data, annotations, what)
    kind = kind_of(content)
    if kind.layout != "mpii":
        raise UserError(
            f"{annotations} is no list of MPII's persons: it holds {kind.words}.",
            "Give HRNet's annot/valid.json or mmpose's annotations/mpii_val.json.",
        )
    beside = head_file(annotations)
    packed = read_bytes(beside, "The ground-truth file") if beside else b""
    heads = read_heads(packed, beside) if beside else None
    if heads is not None and len(heads.head) != len(content):
        raise UserError(
            f"{annotations} lists {len(content)} persons, {beside} beside it {len(heads.head)}.",
            "Give the two files of one split.",
        )
    hint = "Each person needs image, center (x, y), scale, 16 joints (x, y) and 16 joints_vis."
    joints, faults = len(named_set(keypoint_set)), list[Fault]()
    try:
        try:
            table, image_id = _images(content, images)
            truth = _truth(content, image_id, heads, joints)
        except WRONG:
            content, faults = _one_by_one(content, heads, joints)
            table, image_id = _images(content, images)
            truth = _truth(content, image_id, heads, joints)
    except WRONG as error:
        raise UserError(
            f"{annotations} does not follow MPII's format ({type(error).__name__}: {error}).", hint
        ) from error
    if faults and not tolerant:
        where = f"{annotations} does not follow MPII's format: it"
        raise refuse(where, faults, f"{hint} `posebench eval --on-error skip` goes on without.")
    return Dataset(
        id=dataset_id,
        keypoint_set=keypoint_set,
        images=table,
        truth=truth,
        category_id=1,
        annotations_file=annotations.name,
        annotations_sha256=hashlib.sha256(data + packed).hexdigest(),
        complete=False,
        faults=tuple(faults),
    )


def head_files(annotations: Path) -> Iterator[Path]:
    """Yield where the head sizes of a list may lie: as HRNet names them, then as mmpose does."""
    stem = annotations.stem
    first, _, rest = stem.partition("_")
    names = [f"gt_{stem}.mat", *([f"{first}_gt_{rest}.mat"] if rest else [])]
    yield from (annotations.with_name(name) for name in names)
    yield from (annotations.with_name(name) for name in ("gt_valid.mat", "mpii_gt_val.mat"))


def head_file(annotations: Path) -> Path | None:
    """Return the file with the head sizes that lies beside a list of persons, if one does."""
    return next((path for path in head_files(annotations) if path.is_file()), None)


def read_heads(data: bytes, path: Path | None) -> HeadFile:
    """Read joints and head boxes from a MATLAB file.

    Args:
        data: The file's bytes: ``pos_gt_src`` (16, 2, N), ``jnt_missing`` (16, N),
            ``headboxes_src`` (2, 2, N) and ``dataset_joints`` (1, 16) names.
        path: For messages.

    Raises:
        UserError: It is no such file.
    """
    hint = "Give gt_valid.mat of HRNet's MPII annotations, or mmpose's mpii_gt_val.mat."
    if len(data) > LARGEST_MAT:
        raise UserError(f"{path} has {len(data):,} bytes: that is no list of head boxes.", hint)
    try:
        content = read_matlab(data, COLUMNS, LARGEST_MAT)
    except WRONG as error:
        raise UserError(f"{path} is no MATLAB file that can be read: {error}.", hint) from error
    missing = [name for name in COLUMNS if name not in content]
    if missing:
        raise UserError(f"{path} lacks {', '.join(missing)}.", hint)
    try:
        return _heads(content)
    except WRONG as error:
        raise UserError(f"{path} does not hold MPII's ground truth: {error}.", hint) from error


def _heads(content: dict[str, Value]) -> HeadFile:
    names = [str(name).strip() for name in content["dataset_joints"]]
    if sorted(names) != sorted(SPELLINGS):
        raise ValueError(f"its joints are {' '.join(names[:20])}")
    order = [names.index(name) for name in SPELLINGS]
    position = _numbers(content, "pos_gt_src", (JOINTS, 2))[order].transpose(2, 0, 1)
    missing = _numbers(content, "jnt_missing", (JOINTS,))[order].T
    corners = _numbers(content, "headboxes_src", (2, 2))
    counts = {len(position), len(missing), corners.shape[-1]}
    if len(counts) > 1:
        raise ValueError(f"it speaks of {', '.join(map(str, sorted(counts)))} persons at once")
    with np.errstate(over="ignore", invalid="ignore"):  # what that makes is refused below
        head = np.linalg.norm(corners[1] - corners[0], axis=0)
    if not (np.isfinite(head).all() and (head > 0).all()):
        raise ValueError("it has a head box without size")
    if not np.isin(missing, (0, 1)).all():
        raise ValueError("jnt_missing is neither 0 nor 1")
    labelled = missing == 0
    if not np.isfinite(position[labelled]).all():
        raise ValueError("a joint that is not missing has no finite position")
    # A joint that is missing may stand anywhere, also nowhere.
    return HeadFile(np.nan_to_num(position, posinf=0.0, neginf=0.0), labelled, head)


def _numbers(content: dict[str, Value], name: str, shape: tuple[int, ...]) -> Floats:
    numbers = np.asarray(content[name], np.float64)
    # MATLAB drops a last axis of one.
    if numbers.shape == shape:
        numbers = numbers[..., None]
    if numbers.shape[:-1] != shape:
        raise ValueError(f"{name} has the shape {numbers.shape} instead of {shape} x persons")
    return numbers


def _images(rows: list[Row], root: Path) -> tuple[Images, np.ndarray[Any, Any]]:
    names = [str(row["image"]) for row in rows]
    for name in dict.fromkeys(names):
        check_inside(name)
    ids = {name: number for number, name in enumerate(dict.fromkeys(names), start=1)}
    unknown = np.zeros(len(ids), np.int64)
    table = Images(np.arange(1, len(ids) + 1), tuple(ids), unknown, unknown, root)
    return table, np.array([ids[name] for name in names], np.int64)


def _one_by_one(
    rows: list[Row], heads: HeadFile | None, joints: int
) -> tuple[list[Row], list[Fault]]:
    """The persons, others in place of those that cannot be used, and the faults.

    Those others are missed in every joint: nobody estimates them, and joints of the list itself
    stand where no prediction comes.
    """
    kept: list[Row] = []
    faults = []
    for place, row in enumerate(rows):
        try:
            check_inside(str(row["image"]))
            _centre_and_scale([row], place)
            if heads is None:
                _listed_joints([row], joints, place)
            kept.append(row)
        except WRONG as error:
            image = row.get("image") if isinstance(row, dict) else None
            told = f"person {place}" in str(error)
            text = str(error) if told else f"person {place}: {type(error).__name__}: {error}"
            faults.append(Fault("annotation", text, (place,)))
            kept.append(_stand_in(image, joints))
    fine = [row["image"] for row in kept if isinstance(row["image"], str)]
    for row in kept:
        row["image"] = row["image"] or fine[0]
    return kept, faults


def _stand_in(image: Any, joints: int) -> Row:
    try:
        check_inside(image)
    except WRONG:
        image = None  # the first image will do
    return {
        "image": image,
        "center": [0.0, 0.0],
        "scale": 1.0,
        "joints": [list(NOWHERE[:2])] * joints,
        "joints_vis": [1] * joints,
    }


def _centre_and_scale(rows: list[Row], first: int = 0) -> tuple[Floats, Floats]:
    centre = _column(rows, "center", 2, first=first)
    scale = _column(rows, "scale", first=first)[:, 0]
    wrong = (scale <= 0) | (scale > LARGEST_SCALE)
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(f"person {first + row} has the scale {scale[row]:g}")
    far = np.abs(centre).max(axis=1, initial=0) > FARTHEST
    if far.any():
        raise ValueError(f"person {first + int(far.argmax())} lies beyond {FARTHEST:,.0f} px")
    return centre, scale


def _listed_joints(rows: list[Row], joints: int, first: int = 0) -> tuple[Floats, Any]:
    position = _column(rows, "joints", joints, 2, first=first)
    return position, _column(rows, "joints_vis", joints, first=first) > 0


def _truth(
    rows: list[Row], image_id: np.ndarray[Any, Any], heads: HeadFile | None, joints: int
) -> GroundTruth:
    count = len(rows)
    centre, scale = _centre_and_scale(rows)
    position, labelled = (heads.position, heads.labelled) if heads else _listed_joints(rows, joints)
    keypoints = np.concatenate([position, labelled[..., None]], axis=2).astype(np.float64)
    side = UNIT * scale[:, None]
    none = np.zeros(count, np.bool_)
    return GroundTruth(
        id=np.arange(count),
        image_id=image_id,
        box=np.concatenate([centre - side / 2, side, side], axis=1),
        area=side[:, 0] ** 2,
        keypoints=keypoints,
        num_keypoints=labelled.sum(axis=1).astype(np.int64),
        crowd=none,
        ignore=none,
        centre=centre,
        scale=scale,
        head_size=heads.head if heads else None,
    )


def _column(rows: list[Row], key: str, *shape: int, first: int = 0) -> Floats:
    """Numbers of every row, (G, *shape) or (G, 1); a wrong one is named."""
    wanted = shape or (1,)
    numbers = np.empty((len(rows), *wanted))
    for number, row in enumerate(rows):
        value = np.asarray(row[key], np.float64)
        if value.shape != shape or not np.isfinite(value).all():
            raise ValueError(f"{key} of person {first + number} is {str(row[key])[:60]}")
        numbers[number] = value
    return numbers

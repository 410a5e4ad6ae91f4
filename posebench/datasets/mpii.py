"""MPII as HRNet and mmpose publish its validation persons -> ``Dataset``."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from posebench.datasets.coco import NOWHERE
from posebench.datasets.file_kinds import check_inside, kind_of
from posebench.datasets.matlab import Value, read_matlab
from posebench.datasets.rows import FARTHEST, Bools, Rows
from posebench.files import parse_json, read_bytes
from posebench.keypoints import keypoint_set as named_set
from posebench.types.arrays import Dataset, Floats, GroundTruth, Images, Ints
from posebench.types.errors import UserError
from posebench.types.faults import Fault, refuse

# A person's height is stored in units of this many pixels (human-pose.mpi-inf.mpg.de).
UNIT = 200.0
JOINTS = 16
# Persons between a fiftieth of a pixel and more pixels than any picture has; squares of these are
# still numbers, and a crop of them is still a map.
SCALES = (1e-4, 1e6)
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
            f"{annotations} is not a list of MPII's persons: it holds {kind.words}.",
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
    rows = Rows.of(content, lambda place: f"person {place}")
    names = rows.texts("image", check_inside)
    centre, scale = _centre_and_scale(rows)
    position, labelled = _joints(rows, len(named_set(keypoint_set)), heads)
    try:
        table, image_id = _images(rows, names, images)
    except ValueError as error:
        raise UserError(f"{annotations} does not follow MPII's format: {error}.", hint) from error
    # Persons with a fault are missed in every joint: nobody estimates them, and joints of the list
    # itself stand where no prediction comes.
    wrong = list(rows.faults)
    centre[wrong], scale[wrong] = 0.0, 1.0
    if heads is None:
        position[wrong], labelled[wrong] = NOWHERE[:2], True
    faults = [Fault("annotation", text, (place,)) for place, text in rows.told()]
    if faults and not tolerant:
        where = f"{annotations} does not follow MPII's format: it"
        raise refuse(where, faults, f"{hint} `posebench eval --on-error skip` goes on without.")
    return Dataset(
        id=dataset_id,
        keypoint_set=keypoint_set,
        images=table,
        truth=_truth(image_id, centre, scale, position, labelled, heads),
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
        raise UserError(f"{path} has {len(data):,} bytes: that is not a list of head boxes.", hint)
    try:
        content = read_matlab(data, COLUMNS, LARGEST_MAT)
    except ValueError as error:
        raise UserError(f"{path} is not a MATLAB file that can be read: {error}.", hint) from error
    missing = [name for name in COLUMNS if name not in content]
    if missing:
        raise UserError(f"{path} lacks {', '.join(missing)}.", hint)
    try:
        return _heads(content)
    except ValueError as error:
        raise UserError(f"{path} does not hold MPII's ground truth: {error}.", hint) from error


def _heads(content: dict[str, Value]) -> HeadFile:
    names = [name.strip() for name in content["dataset_joints"] if isinstance(name, str)]
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
    near = np.abs(position) <= FARTHEST
    if not near[labelled].all():
        raise ValueError("a joint that is not missing has no finite position")
    # A joint that is missing may stand anywhere, also nowhere.
    return HeadFile(np.where(near, position, 0.0), labelled, head)


def _numbers(content: dict[str, Value], name: str, shape: tuple[int, ...]) -> Floats:
    found = content[name]
    if not isinstance(found, np.ndarray):
        raise ValueError(f"{name} does not hold numbers")
    numbers = found.astype(np.float64)
    # MATLAB drops a last axis of one.
    if numbers.shape == shape:
        numbers = numbers[..., None]
    if numbers.shape[:-1] != shape:
        raise ValueError(f"{name} has the shape {numbers.shape} instead of {shape} x persons")
    return numbers


def _images(rows: Rows, names: list[str], root: Path) -> tuple[Images, Ints]:
    """Images in order of appearance; a person whose image cannot be read counts in the first one.

    Raises:
        ValueError: No person has an image that can be read.
    """
    known = [name if _names_image(name) else None for name in names]
    first = next((name for name in known if name is not None), None)
    if first is None:
        raise ValueError(next(iter(rows.faults.values())))
    named = [first if name is None else name for name in known]
    ids = {name: number for number, name in enumerate(dict.fromkeys(named), start=1)}
    unknown = np.zeros(len(ids), np.int64)
    table = Images(np.arange(1, len(ids) + 1), tuple(ids), unknown, unknown, root)
    return table, np.array([ids[name] for name in named], np.int64)


def _names_image(name: str) -> bool:
    try:
        check_inside(name)
    except ValueError:
        return False
    return True


def _centre_and_scale(rows: Rows) -> tuple[Floats, Floats]:
    least, most = SCALES
    return rows.numbers("center", 2, most=FARTHEST), rows.number("scale", least=least, most=most)


def _joints(rows: Rows, joints: int, heads: HeadFile | None) -> tuple[Floats, Bools]:
    """Positions (G, K, 2) and which joints are labelled (G, K)."""
    if heads is not None:
        return heads.position, heads.labelled
    flat = rows.points("joints", joints, most=FARTHEST)
    visible = rows.numbers("joints_vis", joints, most=1)
    strange = np.any((visible != 0) & (visible != 1), axis=1)
    rows.refuse_where(strange, "has joints_vis other than 0 and 1")
    return flat.reshape(len(rows), joints, 2), visible > 0


def _truth(
    image_id: Ints,
    centre: Floats,
    scale: Floats,
    position: Floats,
    labelled: Bools,
    heads: HeadFile | None,
) -> GroundTruth:
    count = len(scale)
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

"""The embedded default dataset: drawn persons with COCO-17 annotations and detector boxes.

Nothing is downloaded and nothing is stored: pictures, ground truth and the boxes of an imperfect
detector are drawn from integers alone, so the same bytes come out everywhere.  The evaluation
split is called ``val``; any other name (``train``) gives other pictures, since the name of the
split and the picture's number are the whole seed.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posebench.synthetic.raster import PortableRng
from posebench.synthetic.scene import Image, Person, Scene, compose
from posebench.types import UserError

VAL_IMAGES = 450
SYNTHETIC_SHA256 = "2112245f5f062f3f7d621c48f66a40227828b892c8a23e5a5753fc7a6b0bfee2"

Json = dict[str, Any]

ANNOTATIONS = Path("annotations") / "person_keypoints_val2017.json"
IMAGES = Path("val2017")
DETECTIONS = Path("detections.json")
_WHOLE = "COMPLETE"

# Names and skeleton in the order of COCO's own annotation files.
_NAMES = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder",
    "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip",
    "left_knee", "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip


def draw(split: str, index: int) -> Scene:
    """Draw one picture.

    Args:
        split: ``val`` for evaluation, anything else for pictures that are not in it.
        index: Number of the picture, from 0.

    Returns:
        Image, ground truth and detector boxes.
    """
    return compose(PortableRng(f"posebench synthetic {split} {index}"))


def synthetic_coco(split: str = "val", count: int | None = None) -> tuple[Json, list[Json]]:
    """Return the annotations of a split without its pictures.

    Args:
        split: As in ``draw``.
        count: How many pictures; None for the whole of ``val``.

    Returns:
        What a COCO keypoint annotation file holds, and the list in a detector's result file
        (``image_id``, ``category_id``, ``bbox`` x, y, w, h in px, ``score`` in 0..1).
    """
    truth, found = _empty(), []
    for index in range(VAL_IMAGES if count is None else count):
        found += _append(truth, index, draw(split, index))
    return truth, found


def write_synthetic(root: Path, count: int | None = None) -> Path:
    """Write ``val`` in COCO's usual layout, or find it written before.

    The folder is named after the hash of the dataset, filled under a temporary name and renamed
    when it is whole, so that an interrupted run leaves nothing that looks finished.

    Args:
        root: Cache folder; made where it is missing.
        count: Only the first so many pictures; None for all.

    Returns:
        Folder with ``annotations/person_keypoints_val2017.json``, ``val2017/*.png`` (lossless)
        and ``detections.json``.

    Raises:
        UserError: If the folder cannot be written, or if this computer draws other pictures
            than the ones the demo's claims were measured on.
    """
    number = VAL_IMAGES if count is None else count
    part = "" if count is None else f"-first{count}"
    return keep_folder(
        root / f"synthetic-{SYNTHETIC_SHA256[:12]}{part}",
        Contents((ANNOTATIONS, DETECTIONS), number),
        lambda folder: _write(folder, number),
        SYNTHETIC_SHA256 if count is None else None,
    )


@dataclass(frozen=True, slots=True)
class Contents:
    """What a finished folder holds.

    Attributes:
        files: Annotations and boxes, relative to the folder.
        pictures: Number of files in ``val2017``.
    """

    files: tuple[Path, ...]
    pictures: int

    def missing(self, folder: Path) -> bool:
        """Return whether a folder was never finished or something was taken out of it since."""
        if not all((folder / path).is_file() for path in (Path(_WHOLE), *self.files)):
            return True
        return len(list((folder / IMAGES).glob("*.png"))) != self.pictures


def keep_folder(
    target: Path, contents: Contents, fill: Callable[[Path], str], expected: str | None
) -> Path:
    """Return a folder that is whole, filling it first where it is not.

    Args:
        target: The folder; its parent is made where it is missing.
        contents: What must lie in it.
        fill: Writes everything into an empty folder and returns the SHA-256 of what was drawn.
        expected: The SHA-256 that must come out; None to take any.

    Returns:
        ``target``.

    Raises:
        UserError: If the folder cannot be written, or if the hash is another one.
    """
    if not contents.missing(target):
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".synthetic-", dir=target.parent))
        try:
            digest = fill(draft)
            if expected not in (None, digest):
                raise UserError(
                    f"The synthetic dataset drawn here has SHA-256 {digest} and not {expected}.",
                    "Please report this with your versions of Python and numpy.",
                )
            (draft / _WHOLE).write_text(f"{digest}\n")
            _publish(draft, target, contents)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    except OSError as error:
        raise UserError(
            f"The synthetic dataset cannot be written to {target.parent}: {error}.",
            "Choose a folder that is writable and has 100 MB free.",
        ) from error
    return target


def _empty() -> Json:
    return {
        "info": {"description": "posebench synthetic persons", "version": "1"},
        "licenses": [],
        "images": [],
        "annotations": [],
        "categories": [
            {"id": 1, "name": "person", "supercategory": "person", "keypoints": list(_NAMES)}
        ],
    }


def _append(truth: Json, index: int, scene: Scene) -> list[Json]:
    """Add one picture's ground truth; return its detections as JSON."""
    height, width = scene.image.shape[:2]
    identity = index + 1
    truth["images"].append(
        {"id": identity, "file_name": _file_name(identity), "height": height, "width": width}
    )
    for person in scene.persons:
        truth["annotations"].append(_annotation(len(truth["annotations"]) + 1, identity, person))
    return [
        {
            "image_id": identity,
            "category_id": 1,
            "bbox": [x / 4, y / 4, w / 4, h / 4],
            "score": score / 1000,
        }
        for x, y, w, h, score in scene.detections
    ]


def _annotation(identity: int, image: int, person: Person) -> Json:
    return {
        "id": identity,
        "image_id": image,
        "category_id": 1,
        "keypoints": [value for triple in person.keypoints for value in triple],
        "num_keypoints": person.labelled,
        "bbox": [float(value) for value in person.box],
        "area": float(person.area),
        "iscrowd": int(person.crowd),
    }


def _file_name(identity: int) -> str:
    return f"{identity:012d}.png"


def _digest(digest: Any, truth: Json, index: int, scene: Scene) -> list[Json]:
    """Feed one picture and what belongs to it into a hash; return its detections."""
    before = len(truth["annotations"])
    found = _append(truth, index, scene)
    text = json.dumps([truth["images"][-1], truth["annotations"][before:], found], sort_keys=True)
    digest.update(scene.image.tobytes())
    digest.update(text.encode())
    return found


def _write(folder: Path, count: int) -> str:
    """Fill a folder; return the hash of what was drawn."""
    (folder / IMAGES).mkdir()
    (folder / ANNOTATIONS).parent.mkdir()
    digest, truth, found = hashlib.sha256(), _empty(), []
    for index in range(count):
        scene = draw("val", index)
        found += _digest(digest, truth, index, scene)
        write_png(folder / IMAGES / _file_name(index + 1), scene.image)
    (folder / ANNOTATIONS).write_text(json.dumps(truth))
    (folder / DETECTIONS).write_text(json.dumps(found))
    return digest.hexdigest()


def write_png(path: Path, image: Image) -> None:
    """Write a picture without loss.

    Raises:
        OSError: It cannot be written.
    """
    import cv2

    # Light compression: the pictures are noisy, harder work saves little.
    # Python writes the file: OpenCV crashes on names that are not UTF-8.
    done, data = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not done:
        raise OSError(f"no picture could be written as {path}")
    path.write_bytes(data.tobytes())


def _publish(draft: Path, target: Path, contents: Contents) -> None:
    """Rename a finished folder; somebody else's equal one is as good."""
    if target.exists() and contents.missing(target):
        shutil.rmtree(target)
    # mkdtemp makes the folder private; what is published shall be readable as usual.
    draft.chmod(0o755)
    try:
        draft.rename(target)
    except OSError:
        if contents.missing(target):
            raise

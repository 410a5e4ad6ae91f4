"""The second embedded dataset: drawn bodies with faces, hands and feet, for every other task.

As with ``synthetic``, nothing is downloaded: pictures and annotations are drawn from integers
alone, and the name of the split and the picture's number are the whole seed.  One folder serves
Halpe's 136 and 26 keypoints, COCO-WholeBody's 133 and MPII's 16.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from posebench.synthetic.body_files import BodyTruth, file_name
from posebench.synthetic.body_scene import BodyScene, compose_bodies
from posebench.synthetic.keypoints_dataset import (
    DETECTIONS,
    IMAGES,
    Contents,
    keep_folder,
    write_png,
)
from posebench.synthetic.raster import PortableRng

BODY_IMAGES = 120
BODY_SHA256 = "027253d653ff73650e08208dc08093995f6af6d596174170ad4ccf451d0ff4db"

HALPE = Path("annotations") / "halpe_val_v1.json"
WHOLEBODY = Path("annotations") / "coco_wholebody_val_v1.0.json"
MPII = Path("annot") / "valid.json"
MPII_MAT = Path("annot") / "gt_valid.mat"


def draw_body(split: str, index: int) -> BodyScene:
    """Draw one picture.

    Args:
        split: ``val`` for evaluation, anything else for pictures that are not in it.
        index: Number of the picture, from 0.

    Returns:
        Image, ground truth and detector boxes.
    """
    return compose_bodies(PortableRng(f"posebench synthetic body {split} {index}"))


def synthetic_body(split: str = "val", count: int | None = None) -> BodyTruth:
    """Return the annotations of a split without its pictures.

    Args:
        split: As in ``draw_body``.
        count: How many pictures; None for the whole of ``val``.
    """
    truth = BodyTruth()
    for index in range(BODY_IMAGES if count is None else count):
        truth.append(index, draw_body(split, index))
    return truth


def synthetic_body_sha256(count: int | None = None) -> str:
    """Draw ``val`` and return the SHA-256 of its pixels, annotations and detections.

    Args:
        count: Only the first so many pictures; None for all, which must give ``BODY_SHA256``.
    """
    digest, truth = hashlib.sha256(), BodyTruth()
    for index in range(BODY_IMAGES if count is None else count):
        _digest(digest, truth, index)
    return digest.hexdigest()


def write_synthetic_body(root: Path, count: int | None = None) -> Path:
    """Write ``val`` in the layouts of Halpe, COCO-WholeBody and MPII, or find it written before.

    Args:
        root: Cache folder; made where it is missing.
        count: Only the first so many pictures; None for all.

    Returns:
        Folder with ``val2017/*.png`` (lossless), ``annotations/halpe_val_v1.json``,
        ``annotations/coco_wholebody_val_v1.0.json``, ``annot/valid.json``,
        ``annot/gt_valid.mat`` and ``detections.json``.

    Raises:
        UserError: If the folder cannot be written, or if this computer draws other pictures
            than the ones the demo's claims were measured on.
    """
    number = BODY_IMAGES if count is None else count
    part = "" if count is None else f"-first{count}"
    return keep_folder(
        root / f"synthetic-body-{BODY_SHA256[:12]}{part}",
        Contents((HALPE, WHOLEBODY, MPII, MPII_MAT, DETECTIONS), number),
        lambda folder: _write(folder, number),
        BODY_SHA256 if count is None else None,
    )


def _digest(digest: Any, truth: BodyTruth, index: int) -> BodyScene:
    """Draw one picture, note it and feed it into a hash."""
    scene = draw_body("val", index)
    digest.update(scene.image.tobytes())
    digest.update(json.dumps(truth.append(index, scene), sort_keys=True).encode())
    return scene


def _write(folder: Path, count: int) -> str:
    """Fill a folder; return the hash of what was drawn."""
    for path in (IMAGES, HALPE.parent, MPII.parent):
        (folder / path).mkdir()
    digest, truth = hashlib.sha256(), BodyTruth()
    for index in range(count):
        scene = _digest(digest, truth, index)
        write_png(folder / IMAGES / file_name(index + 1), scene.image)
    for path, content in (
        (HALPE, truth.halpe_file()),
        (WHOLEBODY, truth.wholebody_file()),
        (MPII, truth.mpii),
        (DETECTIONS, truth.detections),
    ):
        (folder / path).write_text(json.dumps(content))
    (folder / MPII_MAT).write_bytes(truth.mpii_mat())
    return digest.hexdigest()

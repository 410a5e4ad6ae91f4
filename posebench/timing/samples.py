"""Images and persons to time the whole way with: drawn, or the user's own files."""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np

from posebench.datasets.boxes import detector_persons
from posebench.datasets.detections import Detections
from posebench.datasets.sample import unannotated
from posebench.inference.image_io import image_size
from posebench.types.arrays import Dataset, Images, Persons
from posebench.types.entry import InputSpec
from posebench.types.errors import UserError

WIDTH, HEIGHT = 640, 480  # COCO's most frequent size
QUALITY = 95
DRAWN = 32
PERSONS = 3  # an image: COCO val2017 has 2.3 annotated with keypoints, a detector gives more
SEED = 0
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")


def draw_images(folder: Path, count: int = DRAWN) -> list[Path]:
    """Write JPEG files of smooth shapes under noise, about as large as photographs.

    Args:
        folder: Exists.
        count: How many.
    """
    paths = []
    for index in range(count):
        generator = np.random.default_rng(SEED + index)
        coarse = generator.integers(0, 256, (HEIGHT // 32, WIDTH // 32, 3), np.uint8)
        smooth = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
        noise = generator.normal(0, 8, smooth.shape)
        picture = np.clip(smooth + noise, 0, 255).astype(np.uint8)
        path = folder / f"{index:04d}.jpg"
        _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        path.write_bytes(data.tobytes())
        paths.append(path)
    return paths


def given_images(folder: Path) -> list[Path]:
    """Return the image files of a folder, by name.

    Raises:
        UserError: There is no such folder, or nothing in it.
    """
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}.", "Give a folder of images to --images.")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise UserError(
            f"{folder} holds no images.", f"posebench reads {', '.join(SUFFIXES)} files."
        )
    return paths


def fingerprint(paths: list[Path]) -> str:
    """Return a digest of the files' bytes, in their order."""
    state = hashlib.sha256()
    for path in paths:
        state.update(hashlib.sha256(path.read_bytes()).digest())
    return state.hexdigest()[:16]


def persons_on(paths: list[Path], spec: InputSpec, count: int) -> tuple[Dataset, Persons]:
    """Return so many persons, ``PERSONS`` an image, on files that are read again and again.

    Args:
        paths: Image files.
        spec: What is cropped.
        count: Persons.
    """
    sizes = {path: image_size(path) for path in paths}
    number = -(-count // PERSONS)
    chosen = [paths[index % len(paths)] for index in range(number)]
    width, height = (np.array([sizes[path][axis] for path in chosen]) for axis in (0, 1))
    image_index = np.arange(count, dtype=np.int64) // PERSONS
    shape = np.stack([width, height], axis=1)[image_index].astype(np.float64)
    generator = np.random.default_rng(SEED)
    # Persons a third to nearly all of the image tall, half as wide, anywhere on it.
    tall = generator.uniform(0.3, 0.9, count) * shape[:, 1]
    side = np.stack([np.minimum(tall / 2, shape[:, 0]), tall], axis=1)
    corner = generator.uniform(0, 1, (count, 2)) * (shape - side)
    box = np.concatenate([corner, side], axis=1)
    images = Images(
        np.arange(number, dtype=np.int64),
        tuple(path.name for path in chosen),
        width.astype(np.int64),
        height.astype(np.int64),
        paths[0].parent,
    )
    dataset = unannotated("timing", images, spec.keypoints)
    numbers = np.arange(count, dtype=np.int64)
    found = Detections("drawn", "", count, box, np.ones(count), image_index, numbers)
    return dataset, detector_persons(found, dataset, spec, "none", 0.0)

"""A reader of CSV files and a metric of its own: PCK within a tenth of the dots' distance."""

import csv
import hashlib

import numpy as np

from posebench.scoring.scorers import measured_ratios
from posebench.types.arrays import Dataset, GroundTruth, Images
from posebench.types.errors import UserError

MARGIN = 8.0  # px around the two dots
COLUMNS = ("image", "width", "height", "red_x", "red_y", "blue_x", "blue_y")


def read_dots(annotations, images, *, dataset_id, keypoint_set, tolerant=False):
    """Read one image with one pair of dots a line."""
    content = annotations.read_bytes()
    rows = list(csv.DictReader(content.decode().splitlines()))
    if not rows or set(COLUMNS) - rows[0].keys():
        raise UserError(f"{annotations} is not a file of dots.", f"It has {', '.join(COLUMNS)}.")
    numbers = np.array([[float(row[name]) for name in COLUMNS[1:]] for row in rows])
    ids, points = np.arange(1, len(rows) + 1), numbers[:, 2:].reshape(-1, 2, 2)
    low, high = points.min(axis=1) - MARGIN, points.max(axis=1) + MARGIN
    truth = GroundTruth(
        id=ids,
        image_id=ids,
        box=np.concatenate([low, high - low], axis=1),
        area=(high - low).prod(axis=1),
        keypoints=np.concatenate([points, np.full((len(rows), 2, 1), 2.0)], axis=2),
        num_keypoints=np.full(len(rows), 2),
        crowd=np.zeros(len(rows), bool),
        ignore=np.zeros(len(rows), bool),
    )
    width, height = numbers[:, :2].astype(np.int64).T
    return Dataset(
        id=dataset_id,
        keypoint_set=keypoint_set,
        images=Images(ids, tuple(row["image"] for row in rows), width, height, images),
        truth=truth,
        category_id=1,
        annotations_file=annotations.name,
        annotations_sha256=hashlib.sha256(content).hexdigest(),
        complete=False,
    )


def score_pck(results, dataset, protocol, weights):
    """Share of dots that were found; posebench resamples the images for the intervals."""
    truth, kept, images = dataset.truth, results.kept, np.sort(dataset.images.id)
    row = {person: index for index, person in enumerate(results.predictions.person_id)}
    found = np.zeros((len(images), 2))
    for index, person in enumerate(truth.id):
        if person in row and kept[row[person]]:
            dots = truth.keypoints[index, :, :2]
            near = np.linalg.norm(dots[0] - dots[1]) / 10
            distance = np.linalg.norm(results.predictions.keypoints[row[person]] - dots, axis=1)
            found[np.searchsorted(images, truth.image_id[index])] += distance <= near
    every = np.ones(len(images))
    counts = {"PCK@0.1": (found.sum(axis=1), 2 * every)}
    counts |= {f"{name}/PCK@0.1": (found[:, k], every) for k, name in enumerate(("red", "blue"))}
    return measured_ratios(
        counts, weights, scorer="dots_pck 1", persons=len(truth), images=len(images)
    )

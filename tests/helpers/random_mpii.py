"""Random MPII persons with head sizes, and predictions for most of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from posebench.types.arrays import Dataset, GroundTruth, Images, Predictions, Results


def mpii(seed=0, persons=80, images=30):
    """Persons with their heads, and predictions for most of them in another order."""
    generator = np.random.default_rng(seed)
    xy = generator.uniform(1, 500, (persons, 16, 2)).round(3)
    seen = generator.uniform(size=(persons, 16)) < 0.8
    truth = GroundTruth(
        id=generator.permutation(persons),
        image_id=np.sort(generator.integers(1, images + 1, persons)),
        box=np.zeros((persons, 4)),
        area=np.ones(persons),
        keypoints=np.concatenate([xy, seen[..., None]], axis=2),
        num_keypoints=seen.sum(axis=1),
        crowd=np.zeros(persons, np.bool_),
        ignore=np.zeros(persons, np.bool_),
        head_size=generator.uniform(20, 90, persons),
    )
    ids = np.arange(images, 0, -1)
    table = Images(ids, ("x",) * images, ids * 0, ids * 0, Path())
    dataset = Dataset("mpii", "mpii_16", table, truth, 1, "valid.json", "", complete=False)
    rows = generator.permutation(persons)[5:]
    moved = (
        xy[rows]
        - 1
        + generator.normal(0, 1, (len(rows), 16, 2))
        * generator.choice([1, 3, 12, 40], (len(rows), 1, 1))
    )
    return dataset, found(dataset, rows, moved)


def found(dataset, rows, xy):
    count = len(rows)
    predictions = Predictions(
        keypoints=np.asarray(xy, np.float32),
        joint_scores=np.ones((count, 16), np.float32),
        box=np.zeros((count, 4)),
        box_score=np.ones(count),
        crop_area=np.ones(count),
        image_id=dataset.truth.image_id[rows],
        person_id=dataset.truth.id[rows],
        keypoint_set="mpii_16",
    )
    return Results(predictions, np.ones(count), np.ones(count, np.bool_))

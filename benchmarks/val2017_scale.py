"""Made-up annotations and detections of COCO val2017's size, the same for every engine.

5,000 images, 11,004 annotated persons, 6,352 of them with keypoints, and 104,125 detections, as a
56.4-AP detector gives them before suppression.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from posebench.keypoints import keypoint_set
from posebench.types.arrays import Dataset, Floats, GroundTruth, Images, Ints, Predictions, Results

IMAGES, CROWDED, PERSONS, LABELLED, DETECTIONS = 5000, 2693, 11004, 6352, 104_125
JOINTS = 17
CROWDS = 227  # annotations of val2017 with iscrowd


def val2017_scale(seed: int = 2017, share: float = 1.0) -> tuple[Dataset, Results]:
    """Return ground truth and results, or a ``share`` of them for a quick look."""
    generator = np.random.default_rng(seed)
    images, crowded, persons, labelled, detections, crowds = (
        max(2, int(share * count))
        for count in (IMAGES, CROWDED, PERSONS, LABELLED, DETECTIONS, CROWDS)
    )
    ids = np.sort(generator.choice(600_000, images, replace=False)).astype(np.int64)
    chosen = ids[generator.permutation(images)[:crowded]]
    truth = _truth(generator, chosen, persons, labelled, crowds)
    table = Images(ids, ("x.jpg",) * images, *np.full((2, images), 640), root=Path())
    dataset = Dataset("made_up", "coco_17", table, truth, 1, "made_up.json", "", complete=False)
    return dataset, _results(generator, dataset, detections)


def _truth(
    generator: np.random.Generator, ids: Ints, persons: int, labelled: int, crowds: int
) -> GroundTruth:
    # Everybody's image: each of these has a person, the rest fall where there are some already.
    weight = generator.gamma(0.6, 1.0, len(ids))
    more = generator.choice(ids, persons - len(ids), p=weight / weight.sum())
    corner = generator.uniform(0, 350, (persons, 2))
    size = 8 + generator.gamma(1.5, 60, (persons, 1)) * generator.uniform(
        (0.5, 1.0), (1.0, 2.5), (persons, 2)
    )
    xy = np.round(corner[:, None] + generator.uniform(0, 1, (persons, JOINTS, 2)) * size[:, None])
    seen = generator.uniform(size=(persons, JOINTS)) < 0.65
    label = np.where(seen, generator.integers(1, 3, seen.shape), 0)
    label[:, 0] = 2
    # COCO labels no joints of small persons.
    order = np.argsort(-size.prod(axis=1) * generator.uniform(0.5, 2, persons))
    label[order[labelled:]] = 0
    xy[label == 0] = 0
    crowd = np.zeros(persons, np.bool_)
    crowd[order[persons - crowds :]] = True
    return GroundTruth(
        id=generator.permutation(persons).astype(np.int64) + 1000,
        image_id=np.sort(np.concatenate([ids, more])),
        box=np.round(np.concatenate([corner, size], axis=1), 2),
        area=np.round(size.prod(axis=1) * generator.uniform(0.4, 0.8, persons), 4),
        keypoints=np.concatenate([xy, label[..., None]], axis=2).astype(np.float64),
        num_keypoints=(label > 0).sum(axis=1),
        crowd=crowd,
        ignore=np.zeros(persons, np.bool_),
    )


def _results(generator: np.random.Generator, dataset: Dataset, count: int) -> Results:
    truth, images = dataset.truth, dataset.images.id
    # Two detections around everybody on average, the others of nobody anywhere.
    near = generator.integers(0, len(truth), min(count // 2, 2 * len(truth)))
    about, blur = _about(generator, truth, near)
    far = count - len(near)
    corner, size = generator.uniform(0, 500, (far, 1, 2)), generator.uniform(10, 200, (far, 1, 1))
    anywhere = corner + generator.uniform(0, 1, (far, JOINTS, 2)) * size
    image = np.concatenate([truth.image_id[near], generator.choice(images, far)])
    score = np.concatenate(
        [generator.beta(4, 2, len(near)) - 0.05 * blur, generator.beta(1, 6, far)]
    )
    order = np.argsort(image, kind="stable")
    predictions = Predictions(
        keypoints=np.concatenate([about, anywhere]).astype(np.float32)[order],
        joint_scores=generator.uniform(0.05, 1, (count, JOINTS)).astype(np.float32),
        box=np.tile([0.0, 0.0, 50.0, 60.0], (count, 1)),
        box_score=np.ones(count),
        crop_area=np.ones(count),
        image_id=image[order],
        person_id=np.arange(count),
        keypoint_set="coco_17",
    )
    return Results(predictions, score[order], np.ones(count, np.bool_))


def _about(generator: np.random.Generator, truth: GroundTruth, near: Ints) -> tuple[Floats, Floats]:
    """Joints around some persons, from close to far off, and how far."""
    xy = truth.keypoints[near, :, :2].copy()
    start, size = truth.box[near, None, :2], truth.box[near, None, 2:]
    unlabelled = truth.keypoints[near, :, 2] == 0
    xy[unlabelled] = (start + generator.uniform(size=xy.shape) * size)[unlabelled]
    blur = generator.choice([0.2, 0.6, 1.5, 6.0], len(near))
    sigmas = np.array(keypoint_set("coco_17").sigmas)
    step = (blur * np.sqrt(truth.area[near]))[:, None] * sigmas
    return xy + generator.normal(size=xy.shape) * step[..., None], blur

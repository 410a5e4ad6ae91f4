"""Random annotated and found persons that hold every case evaluators have been seen to differ on.

A sample is COCO's own rows, keypoints in one flat list; ``promises`` names what each holds.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from posebench.keypoints import keypoint_set
from posebench.types.arrays import Dataset, GroundTruth, Images, Predictions, Results

# Joints that are labelled, or score, together: the finest parts any evaluator knows.
CUTS = {
    "coco_17": (17,),
    "crowdpose_14": (14,),
    "halpe_26": (20, 6),
    "wholebody_133": (17, 6, 68, 21, 21),
    "halpe_136": (20, 6, 68, 21, 21),
}
EMPTY, UNSEEN, BUSY, NOTHING, CROWDED = range(5)  # what the first five images are
BUSY_DETECTIONS = 24


def sample(name, seed, images=7):
    """Rows of a random sample of the keypoint set ``name``: images, annotations, results."""
    generator = np.random.default_rng(seed)
    order = generator.permutation(images) * 3 + 5  # image ids neither in order nor without gaps
    if (np.diff(order) > 0).all():  # one in 5,040
        order = order[::-1]
    table = [{"id": int(i), "width": 640, "height": 480} for i in order]
    people, found = [], []
    for place, image in enumerate(order.tolist()):
        here = [] if place in (EMPTY, NOTHING) else _persons(generator, name, image)
        if place == CROWDED:
            here.append(_crowd(generator, name, here))
            here.append(dict(here[0]))  # somebody annotated twice: the similarities tie
        if place == BUSY:
            _on_the_edges(here)
        people += here
        if place not in (UNSEEN, NOTHING):
            found += _detections(generator, name, image, here, place)
    for row, number in zip(people, generator.permutation(len(people)), strict=True):
        row["id"] = int(number) + 10
    here[0]["id"] = 0  # of the last image: counts everywhere, and is found
    return {"set": name, "images": table, "annotations": people, "results": found}


def dataset(sample):
    """The sample as the package holds it."""
    rows = sample["annotations"]
    joints = len(keypoint_set(sample["set"]))

    def column(key, dtype, *shape):
        return np.array([row[key] for row in rows], dtype).reshape(len(rows), *shape)

    truth = GroundTruth(
        id=column("id", np.int64),
        image_id=column("image_id", np.int64),
        box=column("bbox", np.float64, 4),
        area=column("area", np.float64),
        keypoints=column("keypoints", np.float64, joints, 3),
        num_keypoints=column("num_keypoints", np.int64),
        crowd=column("iscrowd", np.bool_),
        ignore=column("ignore", np.bool_),
    )
    ids = np.array([image["id"] for image in sample["images"]], np.int64)
    sizes = np.full(len(ids), 640), np.full(len(ids), 480)
    table = Images(ids, tuple(f"{i}.jpg" for i in ids), *sizes, root=Path())
    return Dataset("random", sample["set"], table, truth, 1, "random.json", "", complete=False)


def results(sample):
    """The sample's results as the package holds them."""
    rows = sample["results"]
    joints = len(keypoint_set(sample["set"]))
    flat = np.array([row["keypoints"] for row in rows], np.float64).reshape(len(rows), joints, 3)
    predictions = Predictions(
        keypoints=flat[..., :2].astype(np.float32),
        joint_scores=flat[..., 2].astype(np.float32),
        box=np.tile([0.0, 0.0, 50.0, 60.0], (len(rows), 1)),
        box_score=np.ones(len(rows)),
        crop_area=np.ones(len(rows)),
        image_id=np.array([row["image_id"] for row in rows], np.int64),
        person_id=np.arange(len(rows)),
        keypoint_set=sample["set"],
    )
    score = np.array([row["score"] for row in rows], np.float64)
    return Results(predictions, score, np.ones(len(rows), np.bool_))


def promises(sample):
    """What a sample is for -> whether it really holds it."""
    people, found = sample["annotations"], sample["results"]
    by_image = {image["id"]: [] for image in sample["images"]}
    for row in found:
        by_image[row["image_id"]].append(row)
    seen = {row["image_id"] for row in people}
    scores = [row["score"] for row in found]
    labels = [np.array(row["keypoints"])[2::3] for row in people]
    spans = [_span(np.array(row["keypoints"])) for row in found]
    cuts = np.cumsum(CUTS[sample["set"]])[:-1]
    return {
        "crowds": any(row["iscrowd"] for row in people),
        "own ignore flags": any(row["ignore"] and not row["iscrowd"] for row in people),
        "score ties": len(set(scores)) < len(scores),
        "ties in one image": any(
            len({r["score"] for r in rows}) < len(rows) for rows in by_image.values()
        ),
        "persons without keypoints": any(not label.any() for label in labels),
        "parts without keypoints": len(CUTS[sample["set"]]) == 1
        or any(
            label.any() and not all(part.any() for part in np.split(label, cuts))
            for label in labels
        ),
        "a count that the labels contradict": any(
            (row["num_keypoints"] == 0) != (not label.any())
            for row, label in zip(people, labels, strict=True)
        ),
        "persons without detections": any(not by_image[i] for i in seen),
        "detections without persons": any(rows and i not in seen for i, rows in by_image.items()),
        "more than 20 detections": any(len(rows) > 20 for rows in by_image.values()),
        "detections without a positive score": any(
            not (np.array(row["keypoints"])[2::3] > 0).any() for row in found
        ),
        "persons on both edges": {32.0**2, 96.0**2} <= {row["area"] for row in people},
        "detections on both edges": {32.0**2, 96.0**2} <= set(spans),
        "annotation id 0": any(row["id"] == 0 and by_image[row["image_id"]] for row in people),
        "somebody annotated twice": len({tuple(r["keypoints"]) for r in people}) < len(people),
        "images out of order": [i["id"] for i in sample["images"]] != sorted(by_image),
    }


def _persons(generator, name, image):
    return [_person(generator, name, image, k) for k in range(int(generator.integers(5, 7)))]


def _person(generator, name, image, number):
    cuts = CUTS[name]
    joints = sum(cuts)
    x, y = generator.uniform(0, 400, 2)
    w, h = generator.uniform(20, 220, 2)
    xy = np.round(generator.uniform((x, y), (x + w, y + h), (joints, 2)), 2)
    label = np.where(generator.uniform(size=joints) < 0.7, generator.choice([0.4, 1, 2], joints), 0)
    if number == 1:
        label[:] = 0
    elif number > 1:
        for part in np.split(np.arange(joints), np.cumsum(cuts)[:-1]):
            label[part] *= generator.uniform() > 0.35
    if number == 0:
        label[[0, -1]] = 2
    xy[label == 0] *= generator.integers(0, 2)
    stated = int((label > 0).sum())
    if number == 2:
        stated = 0 if stated else 5
    return {
        "image_id": image,
        "category_id": 1,
        "bbox": np.round([x, y, w, h], 2).tolist(),
        "area": float(w * h * generator.uniform(0.3, 1.2)),
        "iscrowd": 0,
        "ignore": int(number == 3),
        "keypoints": np.column_stack([xy, label]).ravel().tolist(),
        "num_keypoints": stated,
    }


def _crowd(generator, name, here):
    row = dict(here[0], iscrowd=1, bbox=[10.0, 20.0, 300.0, 300.0], area=60000.0)
    if generator.uniform() < 0.5:
        row |= {"keypoints": [0.0] * len(row["keypoints"]), "num_keypoints": 0}
    return row


def _on_the_edges(here):
    for row, side in zip((here[0], here[4]), (32, 96), strict=True):
        row["area"] = float(side**2)


def _detections(generator, name, image, here, place):
    found = []
    joints = sum(CUTS[name])
    count = BUSY_DETECTIONS if place == BUSY else int(generator.integers(2, 8))
    for k in range(count):
        if here and generator.uniform() < 0.8:
            source = here[k % len(here)]
            xy = np.array(source["keypoints"]).reshape(-1, 3)[:, :2]
            if not xy.any():
                xy = generator.uniform(0, 400, (joints, 2))
            noise = generator.choice([0.0, 1.0, 4.0, 15.0]) * np.sqrt(source["area"]) / 100
            xy = xy + generator.normal(0, 1, xy.shape) * noise
            if generator.uniform() < 0.1:
                xy[: joints // 2] += 5000  # of perfect and lost joints: a round similarity
        else:
            xy = generator.uniform(0, 400, (joints, 2))
        if place == BUSY and k < 2:
            xy = _spanning(generator, joints, (32, 96)[k])
        found.append(_result(generator, name, image, xy, nobody=k == count - 1))
    if place >= CROWDED and here:  # exactly what is annotated, there even twice
        xy = np.array(here[0]["keypoints"]).reshape(-1, 3)[:, :2]
        found += [_result(generator, name, image, xy, nobody=False) for _ in range(3)]
    return found


def _spanning(generator, joints, side):
    """Joints whose extent is exactly a square, in their first 17 and in all of them."""
    xy = np.round(generator.uniform(0, side, (joints, 2)))
    xy[0], xy[1] = (0, 0), (side, side)
    return xy + 40


def _span(keypoints):
    x, y = keypoints[0::3], keypoints[1::3]
    return float((x.max() - x.min()) * (y.max() - y.min()))


def _result(generator, name, image, xy, nobody):
    cuts = CUTS[name]
    score = generator.uniform(0.05, 1, len(xy))
    for part in np.split(np.arange(len(xy)), np.cumsum(cuts)[:-1]):
        if nobody or generator.uniform() < 0.15:
            score[part] = -generator.integers(0, 2)
    # Numbers a float32 holds, so that files and arrays say the same.
    rows = np.column_stack([xy, score]).astype(np.float32).astype(np.float64)
    return {
        "image_id": image,
        "category_id": 1,
        "keypoints": rows.ravel().tolist(),
        "score": float(np.round(generator.uniform(0, 1), 1)),
    }

"""Real annotations, moved, as rows for the published evaluators."""

from __future__ import annotations

import json

import numpy as np
import pytest
import random_persons
import reference_evaluators


def moved(name, path, seed=0):
    """A sample of an annotation file: its persons, moved and doubled, as results."""
    content = json.loads(path.read_text(encoding="utf-8"))
    generator = np.random.default_rng(seed)
    joints = sum(random_persons.CUTS[name])
    people, found = [], []
    for row in content["annotations"]:
        lists = [row[part] for part in reference_evaluators.LISTS.values() if part in row]
        flat = [float(number) for part in lists for number in part]
        labels = int((np.array(flat[2::3]) > 0).sum())
        people.append(
            {key: row[key] for key in ("id", "image_id", "bbox", "area")}
            | {"category_id": 1, "iscrowd": row.get("iscrowd", 0), "ignore": 0}
            | {"keypoints": flat, "num_keypoints": labels}
        )
        for noise in (0.2, 1.0, 5.0):
            xy = np.array(flat).reshape(joints, 3)[:, :2]
            xy = xy + generator.normal(0, noise * np.sqrt(row["area"]) / 100, xy.shape)
            score = generator.uniform(-0.1, 1, joints)
            rows = np.column_stack([xy, score]).astype(np.float32).astype(np.float64)
            found.append(
                {"image_id": row["image_id"], "category_id": 1}
                | {"keypoints": rows.ravel().tolist()}
                | {"score": float(np.round(generator.uniform(), 1))}
            )
    ids = {row["image_id"] for row in people}
    images = [image for image in content["images"] if image["id"] in ids]
    return {"set": name, "images": images, "annotations": people, "results": found}


@pytest.fixture(scope="module")
def coco_sample(shared):
    return moved("coco_17", shared / "data" / "samples" / "coco" / "test_coco.json")


@pytest.fixture(scope="module")
def wholebody_sample(shared):
    file = shared / "data" / "samples" / "coco" / "test_coco_wholebody.json"
    return moved("wholebody_133", file)


@pytest.fixture(scope="module")
def halpe_sample(shared):
    return moved("halpe_136", shared / "data" / "samples" / "halpe" / "test_halpe.json")

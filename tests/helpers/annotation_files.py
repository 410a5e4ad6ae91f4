"""Small annotation files of every layout: COCO, Halpe, COCO-WholeBody, hands and MPII."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np

PARTS = {"foot_kpts": 6, "face_kpts": 68, "lefthand_kpts": 21, "righthand_kpts": 21}
SPELLINGS = [
    *("rank", "rkne", "rhip", "lhip", "lkne", "lank", "pelv", "thor"),
    *("neck", "head", "rwri", "relb", "rsho", "lsho", "lelb", "lwri"),
]


def numbers(generator, joints: int) -> list[float]:
    """x, y and a fractional visibility; about a third of the joints not labelled."""
    points = generator.uniform(1, 90, (joints, 3)).round(2)
    points[:, 2] = generator.choice([0.0, 0.3, 1.0, 2.0], joints)
    points[points[:, 2] == 0] = 0
    return points.reshape(-1).tolist()


def coco(joints: int, persons: int = 3, seed: int = 0) -> dict:
    """COCO's layout: two images, the persons spread over them."""
    generator = np.random.default_rng(seed)
    return {
        "images": [
            {"id": number, "file_name": f"{number:03d}.jpg", "width": 120, "height": 100}
            for number in (7, 5)
        ],
        "annotations": [
            {
                "id": 40 + number,
                "image_id": (5, 7)[number % 2],
                "category_id": 1,
                "iscrowd": 0,
                "bbox": [10.0 + number, 12.0, 60.0, 70.0],
                "area": 3000.0 + number,
                "num_keypoints": 3,
                "keypoints": numbers(generator, joints),
            }
            for number in range(persons)
        ],
        "categories": [{"id": 1, "name": "person"}],
    }


def crowdpose(persons: int = 3, seed: int = 0) -> dict:
    """CrowdPose's 14 keypoints: how crowded each image is, and no areas."""
    content = coco(14, persons, seed)
    for row in content["annotations"]:
        del row["area"]
    for number, row in enumerate(content["images"]):
        row["crowdIndex"] = 0.1 + 0.5 * number
    return content


def wholebody(persons: int = 3, seed: int = 0) -> dict:
    """COCO-WholeBody's lists of parts; odd persons have no valid right hand."""
    generator = np.random.default_rng(seed)
    content = coco(17, persons, seed)
    for number, row in enumerate(content["annotations"]):
        for part, joints in PARTS.items():
            row[part] = numbers(generator, joints)
        for side, valid in (("lefthand", True), ("righthand", number % 2 == 0)):
            row[f"{side}_valid"] = valid
            row[f"{side}_box"] = [20.0 + number, 30.0, 12.0, 15.0] if valid else [0.0] * 4
            if not valid:
                row[f"{side}_kpts"] = [0.0] * 63
    return content


def flat(content: dict) -> dict:
    """COCO-WholeBody merged as AlphaPose merges it: one list of 399 numbers a person."""
    rows = []
    for row in content["annotations"]:
        merged = [number for key in ("keypoints", *PARTS) for number in row[key]]
        kept = {k: v for k, v in row.items() if k not in PARTS and "hand" not in k}
        rows.append(kept | {"keypoints": merged})
    return content | {"annotations": rows}


def mpii(persons: int = 4, seed: int = 0) -> list[dict]:
    """HRNet's list of persons; the first two share an image."""
    generator = np.random.default_rng(seed)
    names = ["b.jpg", "b.jpg", "a.jpg", "c.jpg", "d.jpg"]
    return [
        {
            "image": names[number],
            "center": [50.0 + 7 * number, 60.5],
            "scale": 0.25 + 0.1 * number,
            "joints": generator.uniform(1, 99, (16, 2)).round(1).tolist(),
            "joints_vis": generator.integers(0, 2, 16).tolist(),
        }
        for number in range(persons)
    ]


def heads(rows: list[dict], order: list[str] = SPELLINGS, **changes) -> bytes:
    """The file of head boxes that belongs to a list of persons, joints in any order."""
    from scipy.io import savemat

    places = [SPELLINGS.index(name) for name in order]
    joints = np.array([row["joints"] for row in rows])[:, places] + 0.25
    missing = 1 - np.array([row["joints_vis"] for row in rows], np.uint8)[:, places]
    first = np.array([row["center"] for row in rows]).T
    content = {
        "dataset_joints": np.array([order], object),
        "jnt_missing": missing.T,
        "pos_gt_src": joints.transpose(1, 2, 0),
        "headboxes_src": np.stack([first, first + np.array([[3.0], [4.0]])]),
    } | changes
    buffer = io.BytesIO()
    savemat(buffer, {k: v for k, v in content.items() if v is not None})
    return buffer.getvalue()


def write(path: Path, content) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path

"""Images with persons for the chain tests: real ones and made-up ones, as files say it.

A sample is {images, annotations, detections, mpii, hands, halpe, folder, mpii_folder}; the package
reads it through its own readers, the reference chain row by row.
"""

from __future__ import annotations

import json
from pathlib import Path

import make
import numpy as np

from posebench.datasets import boxes
from posebench.datasets.coco import load_coco
from posebench.datasets.detections import read_detections
from posebench.types.arrays import Dataset, GroundTruth, Images

CATEGORIES = [{"id": 1, "name": "person"}]


def _load(path):
    return json.loads(Path(path).read_text(encoding="utf-8"))


def made_up(folder):
    """Four small drawn images with persons over their edges."""
    folder = make.write_coco(folder)
    content = _load(folder / "annotations" / "person_keypoints_val2017.json")
    # Wider than 100 px, which GluonCV's alpha_pose treats otherwise.
    wide = {**content["annotations"][0], "id": 600, "bbox": [17.25, 12.5, 121.75, 88.5]}
    content["annotations"].append(wide)
    generator = np.random.default_rng(5)
    people = [row for row in content["annotations"] if not row["iscrowd"]]
    detections = []
    for row in people:
        box = (np.array(row["bbox"]) + generator.normal(0, 4, 4)).tolist()
        detections.append(_detection(row["image_id"], box, generator.uniform()))
    detections += [dict(row, score=row["score"] * 0.7) for row in detections[:2]]
    names = {image["id"]: image["file_name"] for image in content["images"]}
    mpii = []
    for row in people[:4]:
        x, y, w, h = row["bbox"]
        centre = [round(x + w / 2), round(y + h / 2)]
        mpii.append({"image": names[row["image_id"]], "center": centre, "scale": h / 200})
    hands = [_hand(row, [*row["bbox"][:2], 25.5, 31.25], 0) for row in people[:3]]
    return {
        "images": content["images"],
        "annotations": content["annotations"],
        "detections": detections,
        "mpii": mpii,
        "hands": hands,
        "halpe": [_halpe(row, generator) for row in people],
        "folder": folder / "val2017",
        "mpii_folder": folder / "val2017",
    }


def real(shared):
    """Photographs: COCO's with detector boxes, annotated persons and hands, MPII's."""
    samples, mini = shared / "data" / "samples", shared / "data" / "coco_mini"
    content = _load(mini / "annotations" / "person_keypoints_val2017.json")
    by_image = {image["id"]: [] for image in content["images"]}
    for row in content["annotations"]:
        by_image[row["image_id"]].append(row)
    # Images with a crowd, with many, with few and with no persons.
    ids = sorted(by_image, key=lambda i: (-any(r["iscrowd"] for r in by_image[i]), i))
    some = [i for i in ids if by_image[i]][:9] + [i for i in ids if not by_image[i]][:3]
    hands = []
    for row in _load(samples / "coco" / "test_coco_wholebody.json")["annotations"]:
        for side, name in enumerate(("lefthand", "righthand")):
            if row[f"{name}_valid"]:
                hands.append(_hand(row, row[f"{name}_box"], side, row[f"{name}_kpts"]))
    detections = _load(samples / "coco" / "test_coco_det_AP_H_56.json")
    return {
        "images": [image for image in content["images"] if image["id"] in some],
        "annotations": [row for i in some for row in by_image[i]],
        "detections": detections,
        "detected_images": _load(samples / "coco" / "test_coco.json")["images"],
        "mpii": _load(samples / "mpii" / "test_mpii.json"),
        "hands": hands,
        "halpe": _load(samples / "halpe" / "test_halpe.json")["annotations"],
        "folder": mini / "val2017",
        "detected_folder": samples / "coco",
        "mpii_folder": samples / "mpii",
    }


def _detection(image_id, box, score):
    return {"image_id": image_id, "category_id": 1, "bbox": box, "score": score}


def _hand(row, box, side, keypoints=(5.0, 5.0, 1.0) * 21):
    return {
        "id": row["id"] * 2 + side,
        "image_id": row["image_id"],
        "category_id": 1,
        "iscrowd": 0,
        "bbox": list(box),
        "area": box[2] * box[3],
        "keypoints": list(keypoints),
        "num_keypoints": 21,
    }


def _halpe(row, generator):
    """136 joints with a detector's confidences; every third person has none of 0.35."""
    highest = 0.3 if row["id"] % 3 == 0 else 1.0
    joints = generator.uniform(0, highest, (136, 3)) * [100, 100, 1]
    return {**row, "keypoints": joints.reshape(-1).tolist(), "num_keypoints": 17}


def scene(sample, recipe, joints, path):
    """What one protocol looks at: (images, annotations, detections, folder, Dataset)."""
    images, annotations = sample["images"], sample["annotations"]
    detections, folder = [], sample["folder"]
    if recipe["boxes"] == "mpii":
        rows, folder = sample["mpii"], sample["mpii_folder"]
        return [], rows, [], folder, mpii_dataset(rows, folder)
    if recipe["boxes"] == "detected" or joints != 17:
        images = sample.get("detected_images", images)
        folder = sample.get("detected_folder", folder)
    if recipe["boxes"] == "detected":
        # Fewer of many joints; the last two are doubles of the first two, a little less sure.
        every = 1 if len(sample["detections"]) < 20 else 4 if joints < 60 else 12
        detections = sample["detections"][::every]
        detections = detections + [dict(row, score=row["score"] * 0.7) for row in detections[:2]]
        annotations = []
    elif joints in (21, 136):
        annotations = sample["hands" if joints == 21 else "halpe"]
    annotated = 17 if recipe["boxes"] == "detected" else joints
    dataset = coco_dataset(images, annotations, folder, annotated, path)
    return images, annotations, detections, folder, dataset


def coco_dataset(images, annotations, folder, joints, path):
    content = {"images": images, "annotations": annotations, "categories": CATEGORIES}
    path.write_text(json.dumps(content), encoding="utf-8")
    name = {17: "coco_17", 21: "hand_21", 136: "halpe_136"}[joints]
    return load_coco(path, folder, dataset_id="coco", keypoint_set=name, joints=joints)


def mpii_dataset(rows, folder):
    names = list(dict.fromkeys(row["image"] for row in rows))
    none = np.zeros(len(rows))
    truth = GroundTruth(
        id=np.arange(len(rows)),
        image_id=np.array([names.index(row["image"]) + 1 for row in rows]),
        box=np.zeros((len(rows), 4)),
        area=none + 1.0,
        keypoints=np.ones((len(rows), 16, 3)),
        num_keypoints=np.full(len(rows), 16),
        crowd=none > 0,
        ignore=none > 0,
        centre=np.array([row["center"] for row in rows], np.float64),
        scale=np.array([row["scale"] for row in rows], np.float64),
    )
    size = np.zeros(len(names), np.int64)
    images = Images(np.arange(1, len(names) + 1), tuple(names), size, size, Path(folder))
    return Dataset("mpii", "mpii_16", images, truth, 1, "valid.json", "", complete=False)


def persons(dataset, spec, protocol, detections, path):
    """The persons a protocol crops, as the package's evaluation picks them."""
    if protocol.boxes == "detector":
        path.write_text(json.dumps(detections), encoding="utf-8")
        found = read_detections(path, dataset)
        return boxes.detector_persons(found, dataset, spec, "none", protocol.box_score_threshold)
    if protocol.boxes == "annotation":
        return boxes.annotation_persons(dataset, spec)
    return boxes.ground_truth_persons(dataset, spec, protocol.sanitise, dummy=protocol.dummy_boxes)

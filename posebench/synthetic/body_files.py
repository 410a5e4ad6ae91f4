"""Drawn bodies in the words of three annotation formats: Halpe, COCO-WholeBody and MPII.

Layouts are those of the published files: Halpe's ``halpe_val_v1.json`` (one flat list of 136
triples with float visibilities), COCO-WholeBody's ``coco_wholebody_val_v1.0.json`` (a list per
part) and MPII as HRNet keeps it (``annot/valid.json`` beside ``annot/gt_valid.mat``, 1-based).
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posebench.synthetic.body_points import (
    FACE,
    FACE_POINTS,
    HAND_POINTS,
    LEFT_HAND,
    RIGHT_HAND,
    UPPER_NECK,
)
from posebench.synthetic.body_scene import BodyPerson, BodyScene, Label
from posebench.synthetic.raster import UNIT, PortableRng

Json = dict[str, Any]
Doubles = NDArray[np.float64]

# Which of Halpe's points is each of WholeBody's six foot points (left big toe, small toe, heel).
WHOLEBODY_FEET = (20, 22, 24, 21, 23, 25)
# Which of the 137 points is each of MPII's 16 joints; hip, neck and head are Halpe's names.
MPII_POINTS = (16, 14, 12, 11, 13, 15, 19, 18, UPPER_NECK, 17, 10, 8, 6, 5, 7, 9)
# The names that gt_valid.mat gives them (HRNet lib/dataset/mpii.py).
MPII_MAT_NAMES = ("rank", "rkne", "rhip", "lhip", "lkne", "lank", "pelv", "thor", "neck", "head",
                  "rwri", "relb", "rsho", "lsho", "lelb", "lwri")  # fmt: skip
# HRNet's loader moves the centre down by 15 px per unit of scale (lib/dataset/mpii.py).
_MPII_UNIT, _MPII_SINK = 200, 15
_MISSING = -1.0
# A .mat file of version 5 begins with 116 bytes of free text, where scipy writes the date.
_MAT_TEXT = b"MATLAB 5.0 MAT-file, written by posebench".ljust(116)


@dataclass(slots=True)
class BodyTruth:
    """Annotations of a split in all formats, grown picture by picture.

    Attributes:
        images: COCO's records of the pictures.
        halpe: Annotations as in Halpe's file.
        wholebody: Annotations as in COCO-WholeBody's file, with the same ids.
        mpii: HRNet's records, one for each person with an MPII joint.
        heads: Head boxes that belong to them: left, top, right, bottom, 1-based px.
        detections: A detector's result file.
    """

    images: list[Json] = field(default_factory=list)
    halpe: list[Json] = field(default_factory=list)
    wholebody: list[Json] = field(default_factory=list)
    mpii: list[Json] = field(default_factory=list)
    heads: list[tuple[float, float, float, float]] = field(default_factory=list)
    detections: list[Json] = field(default_factory=list)

    def append(self, index: int, scene: BodyScene) -> list[Any]:
        """Add one picture.

        Args:
            index: Number of the picture, from 0.
            scene: What was drawn.

        Returns:
            Everything that was added, for a hash.
        """
        height, width = scene.image.shape[:2]
        image, before = index + 1, (len(self.halpe), len(self.mpii), len(self.detections))
        self.images.append(
            {"id": image, "file_name": file_name(image), "height": height, "width": width}
        )
        for person in scene.persons:
            frame = _frame(len(self.halpe) + 1, image, person)
            self.halpe.append({**frame, "keypoints": _halpe_keypoints(frame["id"], person)})
            self.wholebody.append({**frame, **_wholebody_parts(person)})
            if any(person.points[k][2] for k in MPII_POINTS):
                self.mpii.append(_mpii_record(image, person))
                (left, top), (right, bottom) = person.head_box
                self.heads.append(
                    (left / UNIT + 1, top / UNIT + 1, right / UNIT + 1, bottom / UNIT + 1)
                )
        self.detections += [
            {
                "image_id": image,
                "category_id": 1,
                "bbox": [x / 4, y / 4, w / 4, h / 4],
                "score": score / 1000,
            }
            for x, y, w, h, score in scene.detections
        ]
        persons, joints, found = before
        return [
            self.images[-1],
            *(self.halpe[persons:], self.wholebody[persons:]),
            *(self.mpii[joints:], self.heads[joints:], self.detections[found:]),
        ]

    def halpe_file(self) -> Json:
        """Return what ``halpe_val_v1.json`` holds."""
        return self._coco_file("posebench synthetic bodies, Halpe's 136 keypoints", self.halpe)

    def wholebody_file(self) -> Json:
        """Return what ``coco_wholebody_val_v1.0.json`` holds."""
        title = "posebench synthetic bodies, COCO-WholeBody's 133 keypoints"
        return self._coco_file(title, self.wholebody)

    def _coco_file(self, title: str, annotations: list[Json]) -> Json:
        return {
            "info": {"description": title, "version": "1"},
            "licenses": [],
            "images": self.images,
            "annotations": annotations,
            "categories": [
                {"id": 1, "name": "person", "supercategory": "person", "keypoints": [],
                 "skeleton": []}
            ],
        }  # fmt: skip

    def mpii_mat(self) -> bytes:
        """Return what ``gt_valid.mat`` holds: the ground truth that PCKh is counted against."""
        joints = np.array([record["joints"] for record in self.mpii], np.float64)
        seen = np.array([record["joints_vis"] for record in self.mpii], np.float64)
        heads = np.array(self.heads, np.float64)
        return mat_bytes(joints.reshape(-1, 16, 2), seen.reshape(-1, 16), heads.reshape(-1, 2, 2))


def file_name(image: int) -> str:
    """Return the file name of a picture."""
    return f"{image:012d}.png"


def mat_bytes(joints: Doubles, seen: Doubles, heads: Doubles) -> bytes:
    """Return a ``gt_valid.mat`` that has the same bytes whenever it is written.

    Args:
        joints: (N, 16, 2), 1-based px.
        seen: (N, 16), 1 for a labelled joint.
        heads: (N, 2, 2): left and top, right and bottom, 1-based px.
    """
    from scipy.io import savemat

    names = np.empty((1, len(MPII_MAT_NAMES)), object)
    names[0] = MPII_MAT_NAMES
    arrays = {
        "dataset_joints": names,
        "jnt_missing": np.ascontiguousarray(1 - seen.T),
        "pos_gt_src": np.ascontiguousarray(joints.transpose(1, 2, 0)),
        "headboxes_src": np.ascontiguousarray(heads.transpose(1, 2, 0)),
    }
    buffer = io.BytesIO()
    savemat(buffer, arrays)
    data = buffer.getvalue()
    return _MAT_TEXT + data[len(_MAT_TEXT) :]


def _frame(identity: int, image: int, person: BodyPerson) -> Json:
    """Return what an annotation of either COCO-like file has in common."""
    return {
        "id": identity,
        "image_id": image,
        "category_id": 1,
        "num_keypoints": sum(v > 0 for _, _, v in person.points[:17]),
        "bbox": [float(value) for value in person.box],
        "area": float(person.area),
        "iscrowd": int(person.crowd),
    }


def _halpe_keypoints(identity: int, person: BodyPerson) -> list[float]:
    """Return 408 numbers; visibilities are hundredths, high where a point is seen."""
    stream = PortableRng(f"posebench synthetic body visibility {identity}")
    numbers: list[float] = []
    for x, y, v in person.points[:UPPER_NECK]:
        doubt = stream.below(41)
        sure = (0, 20 + doubt * 3 // 4, 60 + doubt)[v]
        numbers += (x / UNIT, y / UNIT, sure / 100)
    return numbers


def _wholebody_parts(person: BodyPerson) -> Json:
    """Return the keypoints part by part, with the parts' boxes and flags."""
    points = person.points
    parts = {
        "foot": [points[k] for k in WHOLEBODY_FEET],
        "face": points[FACE : FACE + FACE_POINTS],
        "lefthand": points[LEFT_HAND : LEFT_HAND + HAND_POINTS],
        "righthand": points[RIGHT_HAND : RIGHT_HAND + HAND_POINTS],
    }
    fields: Json = {"keypoints": _flat(points[:17])}
    for name, part in parts.items():
        fields[f"{name}_kpts"] = _flat(part)
        fields[f"{name}_valid"] = any(v > 0 for _, _, v in part)
        if name != "foot":
            fields[f"{name}_box"] = _box_of(part)
    return fields


def _flat(labels: Sequence[Label]) -> list[float]:
    return [number for x, y, v in labels for number in (x / UNIT, y / UNIT, v)]


def _box_of(labels: Sequence[Label]) -> list[float]:
    """Return x, y, w, h around the labelled points, zeros where there are none."""
    xs = [x for x, _, v in labels if v]
    ys = [y for _, y, v in labels if v]
    if not xs:
        return [0.0] * 4
    sides = min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)
    return [side / UNIT for side in sides]


def _mpii_record(image: int, person: BodyPerson) -> Json:
    """Return HRNet's record; the loader's own shift ends in the middle of the box."""
    x, y, w, h = person.box
    size = max(w, h)
    joints = [person.points[k] for k in MPII_POINTS]
    return {
        "image": file_name(image),
        "center": [float(x + w // 2 + 1), float(y + h // 2 + 1 - _MPII_SINK * size // _MPII_UNIT)],
        "scale": size / _MPII_UNIT,
        "joints": [[x / UNIT + 1, y / UNIT + 1] if v else [_MISSING] * 2 for x, y, v in joints],
        "joints_vis": [int(v > 0) for _, _, v in joints],
    }

"""Small made-up datasets, networks and entries for tests."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import torch

from posebench.types.entry import Checkpoint, Entry, InputSpec, NetworkSpec
from posebench.types.model import PoseModel
from posebench.types.protocol import Protocol


def protocol(**changes) -> Protocol:
    """HRNet's protocol with ground-truth boxes, some axes changed."""
    axes = {
        "name": "test",
        "boxes": "gt",
        "sanitise": "clip_before_width",
        "flip": True,
        "shift": True,
        "decode": "quarter",
        "rescoring": "box_times_mean_visible",
        "nms": "oks",
    }
    return Protocol(**(axes | changes))


def entry(spec: InputSpec | None = None) -> Entry:
    return Entry(
        id="probe",
        zoo="test",
        short="probe",
        title="probe",
        dataset="coco",
        network=NetworkSpec(name="probe"),
        adapter="null",
        input=spec or InputSpec(size=(64, 48)),
        checkpoint=Checkpoint(id="none", container="none"),
        claims=(),
        licence="none",
        citation="",
    )


class Probe(torch.nn.Module):
    """One seeded 7x7 convolution of stride 4: every input pixel and channel moves its peaks."""

    def __init__(self, joints: int = 17, seed: int = 3) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.conv = torch.nn.Conv2d(3, joints, 7, stride=4, padding=3)
        with torch.no_grad():
            self.conv.weight.copy_(torch.randn(self.conv.weight.shape, generator=generator) * 0.1)
            self.conv.bias.copy_(torch.rand(joints, generator=generator) * 0.1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x)


def probe_model(spec: InputSpec | None = None) -> PoseModel:
    return PoseModel(Probe().eval(), entry(spec))


def image(width: int, height: int, seed: int) -> np.ndarray:
    """Smooth random blobs, so that crops have structure at every scale."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (height // 8 + 2, width // 8 + 2, 3), np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def write_coco(root: Path, people_per_image: tuple[int, ...] = (2, 0, 3, 1), seed: int = 0) -> Path:
    """A small COCO-layout dataset with boxes at borders, a crowd and a person without joints."""
    generator = np.random.default_rng(seed)
    (root / "annotations").mkdir(parents=True)
    (root / "val2017").mkdir()
    images, annotations = [], []
    for index, people in enumerate(people_per_image):
        width, height = 160 + 16 * index, 120 + 8 * index
        name = f"{index + 10:012d}.png"
        cv2.imwrite(str(root / "val2017" / name), image(width, height, seed + index))
        images.append({"id": index + 10, "file_name": name, "width": width, "height": height})
        for person in range(people):
            annotations.append(_person(generator, len(annotations), index + 10, width, height))
            if person == 2:
                annotations[-1] |= {"num_keypoints": 0, "keypoints": [0] * 51}
    if annotations:
        crowd = dict(annotations[0], id=999, iscrowd=1, num_keypoints=0, keypoints=[0] * 51)
        annotations.append(crowd)
    content = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "person"}],
    }
    file = root / "annotations" / "person_keypoints_val2017.json"
    file.write_text(json.dumps(content))
    return root


def _person(generator, number, image_id, width, height):
    w, h = generator.uniform(30, 90), generator.uniform(40, 110)
    x, y = generator.uniform(-5, width - 25), generator.uniform(-5, height - 30)
    joints = np.stack(
        [
            generator.uniform(max(x, 0), min(x + w, width), 17),
            generator.uniform(max(y, 0), min(y + h, height), 17),
            generator.integers(0, 3, 17),
        ],
        axis=1,
    )
    joints[joints[:, 2] == 0] = 0
    return {
        "id": number + 1,
        "image_id": image_id,
        "category_id": 1,
        "iscrowd": 0,
        "bbox": [x, y, w, h],
        "area": w * h * generator.uniform(0.4, 3),
        "keypoints": joints.round(1).reshape(-1).tolist(),
        "num_keypoints": int((joints[:, 2] > 0).sum()),
    }


def json_of(output: bytes) -> dict:
    """What a command with --json printed."""
    return json.loads(output.decode())

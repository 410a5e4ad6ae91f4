"""The shipped weights: the committed files, and that they found out what the pictures show."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import posebench
from posebench.keypoints import keypoint_set
from posebench.networks.demo import GAUSSIAN_SIGMA, GAUSSIAN_SUM, SIZES, DemoNet
from posebench.synthetic.body_dataset import draw_body
from posebench.synthetic.body_files import MPII_POINTS
from posebench.synthetic.keypoints_dataset import draw

NAMES = ("demo_s", "demo_m", "demo_l")
BODY_ROWS = ("demo_body_halpe_136", "demo_body_halpe_26", "demo_body_wholebody_133")
MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
PICTURES = 40


@pytest.fixture(scope="module")
def entries() -> dict[str, posebench.types.Entry]:
    return {entry.id: entry for entry in posebench.list_entries(zoo="demo")}


@pytest.fixture(scope="module")
def networks() -> dict[str, torch.nn.Module]:
    return {name: posebench.load_model(f"demo/{name}").network for name in NAMES}


@pytest.fixture(scope="module")
def persons() -> tuple[torch.Tensor, np.ndarray, np.ndarray]:
    """Crops (N, 3, 128, 96), joints in heatmap cells (N, 17, 2), visibility (N, 17).

    Cut out with one matrix written here, so that it does not share the package's crop.
    """
    crops, joints, seen = [], [], []
    for index in range(PICTURES):
        scene = draw("val", index)
        for person in scene.persons:
            if person.labelled < 8:
                continue
            x, y, w, h = person.box
            zoom = 96 / (max(w - 1, (h - 1) * 0.75) * 1.25)
            centre = x + (w - 1) / 2, y + (h - 1) / 2
            matrix = np.array([[zoom, 0, 48 - zoom * centre[0]], [0, zoom, 64 - zoom * centre[1]]])
            crops.append(cv2.warpAffine(scene.image, matrix, (96, 128))[:, :, ::-1] / 255.0)
            points = np.array(person.keypoints, float)
            joints.append((points[:, :2] * zoom + matrix[:, 2]) / 4)
            seen.append(points[:, 2])
    images = (torch.from_numpy(np.stack(crops)).float() - MEAN) / STD
    return images.permute(0, 3, 1, 2), np.stack(joints), np.stack(seen)


def _peaks(maps: torch.Tensor) -> np.ndarray:
    best = maps.flatten(2).argmax(2).numpy()
    return np.stack([best % maps.shape[3], best // maps.shape[3]], 2)


def test_there_are_three_runnable_models_of_rising_size(entries) -> None:
    assert tuple(entries)[:3] == NAMES == tuple(SIZES)
    assert all(entry.status == "runnable" for entry in entries.values())
    sizes = [entries[name].checkpoint.size for name in NAMES]
    assert sizes == sorted(sizes)
    assert sizes[-1] < 1_500_000


@pytest.mark.parametrize(
    ("name", "file"),
    [(name, name) for name in (*NAMES, "demo_mpii")] + [(row, "demo_body") for row in BODY_ROWS],
)
def test_file_is_the_one_the_registry_names(entries, name: str, file: str) -> None:
    checkpoint = entries[name].checkpoint
    assert checkpoint.location == f"package:assets/demo/{file}.safetensors"
    data = Path(str(files("posebench") / "assets" / "demo" / f"{file}.safetensors")).read_bytes()
    assert hashlib.sha256(data).hexdigest() == checkpoint.sha256
    assert len(data) == checkpoint.size


def test_claims_are_high_enough_and_clearly_ordered(entries) -> None:
    protocols = ("demo_gt_flip@1", "demo_gt_noflip@1", "demo_det_flip@1")
    values = {
        (name, claim.protocol, claim.metric): claim.value
        for name in NAMES
        for claim in entries[name].claims
    }
    assert len(values) == 27
    assert entries["demo_l"].primary.protocol == "demo_gt_flip@1"
    assert values["demo_l", "demo_gt_flip@1", "AP"] >= 60
    for protocol in protocols:
        small, medium, large = (values[name, protocol, "AP"] for name in NAMES)
        assert small + 3 < medium
        assert medium + 3 < large
    for name in NAMES:
        flip, plain, detector = (values[name, protocol, "AP"] for protocol in protocols)
        assert flip > plain
        assert flip > detector


def test_larger_models_find_more_of_the_visible_joints(networks, persons) -> None:
    images, joints, seen = persons
    assert len(images) > 60
    shares = {}
    for name, network in networks.items():
        with torch.no_grad():
            far = np.linalg.norm(_peaks(network(images)) - joints, axis=2)
        shares[name] = (far[seen == 2] < 1.5).mean()
    assert shares["demo_s"] < shares["demo_m"] < shares["demo_l"]
    assert shares["demo_s"] > 0.6
    assert shares["demo_l"] > 0.85


def test_peaks_tell_visible_joints_from_unseen_ones(networks, persons) -> None:
    images, _, seen = persons
    with torch.no_grad():
        peaks = networks["demo_l"](images).amax((2, 3)).numpy()
    assert np.median(peaks[seen == 2]) > 0.5
    assert np.median(peaks[seen == 2]) > np.median(peaks[seen == 1]) + 0.1
    assert peaks.max() < 2


def test_mirrored_persons_are_persons(networks, persons) -> None:
    """Left and right change places in a mirror, and the pictures' colours do not object."""
    images, joints, seen = persons
    swap = list(keypoint_set("coco_17").flip_index())
    mirrored = joints[:, swap].copy()
    mirrored[..., 0] = 23.75 - mirrored[..., 0]
    with torch.no_grad():
        plain = _peaks(networks["demo_l"](images))
        mirror = _peaks(networks["demo_l"](images.flip(3)))
    visible = seen == 2
    found = (np.linalg.norm(plain - joints, axis=2)[visible] < 1.5).mean()
    again = (np.linalg.norm(mirror - mirrored, axis=2)[visible[:, swap]] < 1.5).mean()
    assert abs(found - again) < 0.03


def test_each_map_sums_to_an_ideal_gaussian() -> None:
    torch.manual_seed(0)
    maps = DemoNet(8)(torch.randn(2, 3, 128, 96))
    assert maps.shape == (2, 17, 32, 24)
    y, x = np.mgrid[-30:31, -30:31]
    ideal = np.exp(-(x**2 + y**2) / (2 * GAUSSIAN_SIGMA**2)).sum()
    assert pytest.approx(ideal, rel=1e-3) == GAUSSIAN_SUM
    assert torch.allclose(maps.sum((2, 3)), torch.tensor(GAUSSIAN_SUM), rtol=1e-5)


# --- whole bodies -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bodies() -> tuple[torch.Tensor, np.ndarray, np.ndarray]:
    """Crops (N, 3, 192, 144), 137 points in heatmap cells (N, 137, 2), labels (N, 137)."""
    crops, points, labels = [], [], []
    for index in range(24):
        scene = draw_body("val", index)
        for person in scene.persons:
            if not person.labelled:
                continue
            x, y, w, h = person.box
            zoom = 144 / (max(w - 1, (h - 1) * 0.75) * 1.25)
            centre = x + (w - 1) / 2, y + (h - 1) / 2
            matrix = np.array([[zoom, 0, 72 - zoom * centre[0]], [0, zoom, 96 - zoom * centre[1]]])
            crops.append(cv2.warpAffine(scene.image, matrix, (144, 192))[:, :, ::-1] / 255.0)
            own = np.array(person.points, float)
            points.append((own[:, :2] / 8 * zoom + matrix[:, 2]) / 4)
            labels.append(own[:, 2])
    images = (torch.from_numpy(np.stack(crops)).float() - MEAN) / STD
    return images.permute(0, 3, 1, 2), np.stack(points), np.stack(labels)


def test_body_network_finds_every_part(bodies) -> None:
    images, points, labels = bodies
    with torch.no_grad():
        peaks = _peaks(posebench.load_model("demo/demo_body_halpe_136").network(images))
    far = np.linalg.norm(peaks - points[:, :136], axis=2)
    near = (far < 1.5) & (labels[:, :136] == 2)
    least = {"body": (0, 26, 0.75), "face": (26, 94, 0.8), "hands": (94, 136, 0.5)}
    for start, stop, share in least.values():
        assert near[:, start:stop].sum() / (labels[:, start:stop] == 2).sum() > share


def test_mpii_network_is_the_body_network_but_for_its_last_layer(bodies) -> None:
    """The same maps where both have them: right ankle first, head top tenth."""
    body = posebench.load_model("demo/demo_body_halpe_136").network
    mpii = posebench.load_model("demo/demo_mpii").network
    with torch.no_grad():
        maps, own = body(bodies[0][:4]), mpii(bodies[0][:4])
    shared = [k for k in range(16) if MPII_POINTS[k] < 136]
    assert len(shared) == 15
    assert torch.allclose(maps[:, [MPII_POINTS[k] for k in shared]], own[:, shared], atol=1e-5)
    far = np.linalg.norm(_peaks(own)[:, 8] - bodies[1][:4, 136], axis=1)
    assert (far[bodies[2][:4, 136] == 2] < 2.5).all()


def test_body_rows_share_one_small_file(entries) -> None:
    assert {entries[row].checkpoint.sha256 for row in BODY_ROWS} == {
        entries[BODY_ROWS[0]].checkpoint.sha256
    }
    for name in ("demo_mpii", BODY_ROWS[0]):
        assert entries[name].checkpoint.size < 600_000
    sets = [keypoint_set(entries[row].input.keypoints).name for row in (*BODY_ROWS, "demo_mpii")]
    assert sets == ["halpe_136"] * 3 + ["mpii_16"]

"""The bottom-up chain: against reference code, and with maps painted from ground truth."""

from __future__ import annotations

import itertools
from pathlib import Path

import cv2
import make
import numpy as np
import pytest
import reference_grouping
import reference_steps
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

import posebench
from posebench.datasets.coco import load_coco
from posebench.inference import bottom_up
from posebench.inference.bottom_up import predict_images
from posebench.inference.loading import IMAGES_AHEAD
from posebench.inference.predict import Options
from posebench.inference.select import select
from posebench.inference.whole_image import input_size, whole_matrix
from posebench.keypoints import keypoint_set
from posebench.networks.demo_bottom_up import DemoBottomUp
from posebench.scoring.scorers import score
from posebench.synthetic.keypoints_dataset import ANNOTATIONS, IMAGES, write_synthetic
from posebench.types.entry import InputSpec
from posebench.types.errors import UserError
from posebench.types.model import PoseModel

ASSETS = Path(posebench.__file__).parent / "assets" / "demo"
COCO = keypoint_set("coco_17")
SPEC = InputSpec(size=(64, 64), crop="whole_image", padding=1.0, exif="apply", stride=2)


def whole(short):
    return SPEC.model_copy(update={"size": (short, short)})


def protocol(**changes):
    axes = {
        "boxes": "none",
        "sanitise": "none",
        "shift": False,
        "decode": "associative_embedding",
        "rescoring": "none",
        "nms": "none",
    }
    return make.protocol(**(axes | changes))


def open_coco(annotations, images):
    return load_coco(annotations, images, dataset_id="coco", keypoint_set="coco_17", joints=17)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    root = make.write_coco(tmp_path_factory.mktemp("coco"))
    return open_coco(root / "annotations" / "person_keypoints_val2017.json", root / "val2017")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    root = write_synthetic(tmp_path_factory.mktemp("drawn"), 16)
    return open_coco(root / ANNOTATIONS, root / IMAGES)


class Probe(torch.nn.Module):
    """One seeded 9x9 convolution of stride 2 that gives heatmaps and tags of a few peaks."""

    def __init__(self, joints=17):
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.conv = torch.nn.Conv2d(3, 2 * joints, 9, stride=2, padding=4)
        with torch.no_grad():
            self.conv.weight.copy_(torch.randn(self.conv.weight.shape, generator=generator) * 0.03)
            self.conv.bias.copy_(torch.rand(2 * joints, generator=generator) * 0.1)

    def forward(self, x):
        return self.conv(x)


class Nobody(torch.nn.Module):
    def forward(self, x):
        return x.new_zeros(len(x), 34, x.shape[2] // 2, x.shape[3] // 2)


def probe_model(network=None, spec=SPEC):
    return PoseModel((network or Probe()).eval(), make.entry(spec))


# --- against reference code -----------------------------------------------------------------------


def reference_image(model, path, flip):
    """Persons of one image through reference code: points in the image, joint scores, score."""
    spec = model.entry.input
    image = cv2.imread(str(path))
    (height, width), there, back = reference_grouping.resized(*image.shape[:2], min(spec.size))
    x = reference_steps.tensor(
        reference_steps.crop(image, there, height, width), spec.colour, spec.mean, spec.std
    )
    with torch.no_grad():
        output = model.network(x)[0]
        heat, tags = output[:17], output[17:, None]
        if flip:
            mirrored = model.network(torch.flip(x, [3]))[0].numpy()
            other = torch.from_numpy(
                reference_grouping.mirrored_back(mirrored, COCO.flip_pairs).copy()
            )
            heat, tags = (heat + other[:17]) / 2, torch.cat([tags, other[17:, None]], dim=1)
        # The enlargement has its own test; here every bit shall be the same.
        parts = [heat[None], *tags.transpose(0, 1)[:, None]]
        heat, *tags = [
            F.interpolate(part, scale_factor=2, mode="bilinear")[0].numpy() for part in parts
        ]
    people = reference_grouping.people(heat, np.stack(tags, axis=-1))
    return [(reference_steps.to_image(xy, back), scores, score) for xy, scores, score in people]


@pytest.mark.parametrize("colour", ["rgb", "bgr"])
def test_every_image_equals_the_reference_chain(dataset, colour):
    model = probe_model(spec=SPEC.model_copy(update={"colour": colour}))
    protocols = [protocol(flip=True), protocol(flip=False)]
    found = predict_images(model, dataset, protocols)
    for each, predictions in zip(protocols, found, strict=True):
        row = 0
        for index, image_id in enumerate(dataset.images.id):
            people = reference_image(model, dataset.images.path(index), each.flip)
            assert people
            for xy, scores, mean in people:
                assert predictions.image_id[row] == image_id
                np.testing.assert_allclose(predictions.keypoints[row], xy, atol=1e-3)
                np.testing.assert_allclose(predictions.joint_scores[row], scores, atol=1e-5)
                assert predictions.box_score[row] == pytest.approx(mean, abs=1e-5)
                row += 1
        assert row == len(predictions)
    assert len(found[0]) != len(found[1])


def test_fields_that_no_box_gives(dataset):
    found = predict_images(probe_model(), dataset, [protocol()])[0]
    assert found.keypoints.dtype == found.joint_scores.dtype == np.float32
    assert len(set(found.person_id.tolist())) == len(found) > 10
    assert (np.diff(found.person_id) > 0).all()
    for row in range(len(found)):
        points = found.keypoints[row][found.joint_scores[row] > 0]
        low, high = points.min(axis=0), points.max(axis=0)
        np.testing.assert_allclose(found.box[row], [*low, *(high - low)], rtol=1e-6)
        assert found.crop_area[row] == pytest.approx(np.prod(high - low), rel=1e-5)
    results = select(found, protocol())
    assert np.array_equal(results.score, found.box_score)
    assert results.kept.all()


def test_the_score_is_not_the_mean_of_the_joint_scores(dataset):
    """What was salvaged has joint scores, but the persons' ranks were settled before."""
    found = predict_images(probe_model(), dataset, [protocol()])[0]
    after = found.joint_scores.mean(axis=1)
    assert (found.box_score <= after + 1e-6).all()
    assert (found.box_score < after - 1e-3).any()


@pytest.mark.parametrize("change", [{"flip": False}, {"shift": True}])
def test_flip_and_shift_move_the_prediction(dataset, change):
    one, other = predict_images(probe_model(), dataset, [protocol(), protocol(**change)])
    assert one.keypoints.shape != other.keypoints.shape or not np.allclose(
        one.keypoints, other.keypoints, atol=0.01
    )


# --- parts, threads, nobody -------------------------------------------------------------------


def assert_same(one, other):
    for name, value in vars(one).items():
        theirs = getattr(other, name)
        assert np.array_equal(value, theirs), name


def test_threads_do_not_matter(dataset):
    runs = [
        predict_images(probe_model(), dataset, [protocol()], Options(threads=threads))[0]
        for threads in (1, 3)
    ]
    assert_same(*runs)


def test_parts_fit_together(dataset):
    model = probe_model()
    everything = predict_images(model, dataset, [protocol()])[0]
    parts = [
        predict_images(model, dataset, [protocol()], images=np.array(rows))[0]
        for rows in ([0, 1], [2], [3])
    ]
    for name, value in vars(everything).items():
        if isinstance(value, np.ndarray):
            joined = np.concatenate([getattr(part, name) for part in parts])
            assert np.array_equal(value, joined), name
    assert set(parts[1].image_id.tolist()) == {int(dataset.images.id[2])}


def test_images_in_which_nobody_is_seen_have_no_rows(dataset):
    class Alternating(Nobody):
        def __init__(self):
            super().__init__()
            self.calls = 0

        def forward(self, x):
            maps = super().forward(x)
            if self.calls % 2:
                maps[0, :17, 5, 7] = 0.6
            self.calls += 1
            return maps

    seen = []
    found = predict_images(
        probe_model(Alternating()),
        dataset,
        [protocol(flip=False)],
        progress=lambda *told: seen.append(told),
    )[0]
    assert found.image_id.tolist() == dataset.images.id[[1, 3]].tolist()
    assert seen == [("images", done, 4) for done in (1, 2, 3, 4)]


def test_nobody_anywhere(dataset):
    found = predict_images(probe_model(Nobody()), dataset, [protocol(), protocol(flip=False)])
    for each in found:
        assert len(each) == 0
        assert each.keypoints.shape == (0, 17, 2)
        assert each.box.shape == (0, 4)
        results = select(each, protocol())
        assert len(results.score) == 0
        assert average_precision(each, dataset) == 0


def test_few_images_are_read_ahead(dataset, monkeypatch):
    """Memory is flat: what is decoded but not yet used is bounded, however many images wait."""
    read = []
    reference_reader = bottom_up.open_image
    monkeypatch.setattr(bottom_up, "open_image", lambda *a: read.append(a) or reference_reader(*a))
    ahead = []
    rows = np.zeros(60, np.int64)
    predict_images(
        probe_model(Nobody()),
        dataset,
        [protocol()],
        Options(threads=2),
        lambda _, done, __: ahead.append(len(read) - done),
        images=rows,
    )
    assert len(read) == len(rows)
    assert max(ahead) <= 2 * IMAGES_AHEAD + 1


# --- refusals ---------------------------------------------------------------------------------


def test_an_entry_that_wants_boxes_is_refused(dataset):
    with pytest.raises(UserError, match="not whole images"):
        predict_images(probe_model(spec=InputSpec(size=(64, 64))), dataset, [protocol()])


def test_a_protocol_of_heatmaps_is_refused(dataset):
    with pytest.raises(UserError, match="decodes with quarter"):
        predict_images(probe_model(), dataset, [protocol(decode="quarter")])


@pytest.mark.parametrize("network", [Probe(joints=16), make.Probe(joints=34)])
def test_a_network_of_other_maps_is_refused(dataset, network):
    with pytest.raises(UserError, match="gave heatmaps"):
        predict_images(probe_model(network), dataset, [protocol()])


def test_a_missing_image_is_named(tmp_path):
    root = make.write_coco(tmp_path)
    file = root / "annotations" / "person_keypoints_val2017.json"
    broken = open_coco(file, root / "val2017")
    broken.images.path(2).unlink()
    with pytest.raises(UserError, match="000000000012"):
        predict_images(probe_model(), broken, [protocol()])


# --- the shipped model ------------------------------------------------------------------------


@pytest.mark.parametrize("flip", [True, False])
def test_the_shipped_model_finds_drawn_persons(drawn, flip):
    """Over all of the drawn pictures it reaches 52.5 with and 54.3 without the flip test."""
    network = DemoBottomUp()
    network.load_state_dict(load_file(ASSETS / "demo_bottom_up.safetensors"))
    found = predict_images(probe_model(network, whole(192)), drawn, [protocol(flip=flip)])[0]
    assert average_precision(found, drawn) > 40


# --- an oracle on drawn persons ---------------------------------------------------------------


class Oracle(torch.nn.Module):
    """Paints what a perfect network would say, image after image.

    A joint at input pixel p stands at cell p / 2 - 0.5, as networks for this recipe are trained.
    Every second call is for the mirrored image if ``flip``.
    """

    def __init__(self, dataset, short, *, flip):
        super().__init__()
        images = range(len(dataset.images))
        calls = itertools.product(images, (False, True) if flip else (False,))
        self.calls = iter(
            [paint(dataset, image, short, mirrored=mirrored) for image, mirrored in calls]
        )

    def forward(self, x):
        maps = next(self.calls)
        assert maps.shape[-2:] == (x.shape[-2] // 2, x.shape[-1] // 2)
        return maps[None]


def paint(dataset, index, short, *, mirrored):
    """(34, H / 2, W / 2) heatmaps and tags of one image's annotated persons."""
    size = int(dataset.images.height[index]), int(dataset.images.width[index])
    matrix = whole_matrix(size, short)
    height, width = input_size(size, short)
    heat = np.zeros((17, height // 2, width // 2), np.float32)
    tags = np.full_like(heat, 50.0)
    persons = dataset.truth.keypoints[dataset.truth.image_id == dataset.images.id[index]]
    y, x = np.mgrid[: height // 2, : width // 2]
    for number, triples in enumerate(persons):
        points = triples[:, :2] @ matrix[:, :2].T + matrix[:, 2]
        visible = triples[:, 2] > 0
        tag = 3.0 * number
        if mirrored:
            points[:, 0] = width - 1 - points[:, 0]
            points, visible = (each[list(COCO.flip_index())] for each in (points, visible))
            tag = 40.0 - 2.0 * number
        for joint in np.flatnonzero(visible):
            px, py = points[joint] / 2 - 0.5
            own = np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * 1.5**2))
            tags[joint][own > np.maximum(heat[joint], 0.01)] = tag
            heat[joint] = np.maximum(heat[joint], own)
    return torch.from_numpy(np.concatenate([heat, tags]))


def average_precision(predictions, dataset):
    results = select(predictions, protocol())
    return score(results, dataset, protocol(), with_intervals=False).values["AP"]


def oracle(dataset, short, *, flip):
    model = probe_model(Oracle(dataset, short, flip=flip), whole(short))
    return predict_images(model, dataset, [protocol(flip=flip)])[0]


@pytest.fixture(scope="module")
def straight(drawn):
    return oracle(drawn, 256, flip=False)


def test_painted_truth_is_found(drawn, straight):
    assert average_precision(straight, drawn) > 95


@pytest.mark.parametrize(("short", "flip"), [(256, True), (192, False), (192, True), (320, True)])
def test_the_same_people_after_flip_and_rescale(drawn, straight, short, flip):
    found = oracle(drawn, short, flip=flip)
    assert average_precision(found, drawn) > 95
    # the drawn persons that have a nose, or whatever comes first, are as many
    assert abs(len(found) - len(straight)) <= 1
    for image_id in drawn.images.id:
        one, other = (p.keypoints[p.image_id == image_id] for p in (straight, found))
        there = straight.joint_scores[straight.image_id == image_id] > 0.1
        for points, counted in zip(one, there, strict=True):
            apart = np.linalg.norm(other - points, axis=2)[:, counted]
            # the half pixel of the mirror image, and a quarter step of the coarser map
            assert np.median(apart, axis=1).min() < 2.0


def test_the_oracle_needs_its_tags(drawn):
    """Without tags that differ, all noses are one person's."""

    class Same(Oracle):
        def forward(self, x):
            maps = super().forward(x).clone()
            maps[:, 17:] = 1.0
            return maps

    model = probe_model(Same(drawn, 192, flip=False), whole(192))
    found = predict_images(model, drawn, [protocol(flip=False)])[0]
    assert average_precision(found, drawn) < 60


# --- networks that give persons ------------------------------------------------------------------

GIVING = SPEC.model_copy(
    update={"crop": "whole_image_fit", "size": (64, 64), "stride": 1, "output": "persons"}
)


class Giver(torch.nn.Module):
    """As many persons as the image's mean tells, at places of the input that are known."""

    def __init__(self, most=3):
        super().__init__()
        self.most = most

    def rows(self, number):
        generator = torch.Generator().manual_seed(number)
        joints = torch.rand(number, 17, 3, generator=generator) * 64
        low, high = joints[..., :2].amin(1) - 1, joints[..., :2].amax(1) + 2
        score = torch.arange(number, 0, -1).float() / 10
        return torch.cat([score[:, None], low, high, joints.flatten(1)], dim=1)

    def forward(self, images):
        return self.rows(int(images.mean() * 1000) % (self.most + 1))[None]


def test_given_persons_come_into_the_image(dataset):
    own = protocol(decode="own", flip=True)
    found = predict_images(probe_model(Giver(), GIVING), dataset, [own])[0]
    assert len(found) > 0
    assert len(set(found.person_id.tolist())) == len(found)
    for row, image_id in enumerate(dataset.images.id):
        mine = found.image_id == image_id
        expected = Giver().rows(int(mine.sum())).numpy()
        height, width = int(dataset.images.height[row]), int(dataset.images.width[row])
        scale = min(64 / width, 64 / height)

        def back(points, height=height, width=width, scale=scale):
            return (points - 32) / scale + np.array([width, height]) / 2

        joints = expected[:, 5:].reshape(-1, 17, 3)
        np.testing.assert_allclose(found.keypoints[mine], back(joints[..., :2]), atol=1e-3)
        assert np.array_equal(found.joint_scores[mine], joints[..., 2])
        assert np.array_equal(found.box_score[mine], expected[:, 0].astype(np.float64))
        low, high = back(expected[:, 1:3]), back(expected[:, 3:5])
        np.testing.assert_allclose(found.box[mine], np.hstack([low, high - low]), atol=1e-3)
        np.testing.assert_allclose(found.crop_area[mine], np.prod(high - low, axis=1), rtol=1e-4)


def test_the_next_image_is_on_its_way_before_persons_are_looked_for(dataset, monkeypatch):
    log = []
    to_device, persons_of = bottom_up.to_device, bottom_up.persons_of
    monkeypatch.setattr(
        bottom_up, "to_device", lambda *given: (log.append("copy"), to_device(*given))[1]
    )
    monkeypatch.setattr(
        bottom_up, "persons_of", lambda *given: (log.append("group"), persons_of(*given))[1]
    )
    predict_images(probe_model(Giver(), GIVING), dataset, [protocol(decode="own")])
    assert len(dataset.images) == 4
    assert log == ["copy", *["copy", "group"] * 3, "group"]


def test_nobody_given(dataset):
    found = predict_images(probe_model(Giver(0), GIVING), dataset, [protocol(decode="own")])[0]
    assert len(found) == 0
    assert found.box.shape == (0, 4)


def test_given_persons_of_other_joints_are_refused(dataset):
    class Other(Giver):
        def forward(self, images):
            return super().forward(images)[..., :-3]

    model = probe_model(Other(), GIVING)
    with pytest.raises(UserError, match=r"gave persons .* those of coco_17"):
        predict_images(model, dataset, [protocol(decode="own")])


@pytest.mark.parametrize(("spec", "decode"), [(GIVING, "associative_embedding"), (SPEC, "own")])
def test_a_decoding_of_another_output_is_refused(dataset, spec, decode):
    with pytest.raises(UserError, match="takes whole images and gives"):
        predict_images(probe_model(Giver(), spec), dataset, [protocol(decode=decode)])

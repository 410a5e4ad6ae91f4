"""The whole top-down chain on a probe network, person by person against reference code."""

from __future__ import annotations

import itertools

import cv2
import make
import numpy as np
import pytest
import reference_steps
import torch

from posebench.datasets.boxes import centre_and_scale, ground_truth_persons
from posebench.datasets.coco import load_coco
from posebench.inference.image_io import read_image
from posebench.inference.loading import batches
from posebench.inference.normalise import normalise
from posebench.inference.predict import Options, predict
from posebench.inference.select import select
from posebench.types.arrays import Persons
from posebench.types.entry import InputSpec
from posebench.types.errors import UserError

SPECS = {
    "hrnet": InputSpec(size=(64, 48)),
    "lpn": InputSpec(size=(64, 48), colour="bgr"),
    "tinypose": InputSpec(size=(64, 48), crop="udp_affine"),
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    root = make.write_coco(tmp_path_factory.mktemp("coco"))
    return open_coco(root)


def open_coco(root):
    file = root / "annotations" / "person_keypoints_val2017.json"
    return load_coco(file, root / "val2017", dataset_id="coco", keypoint_set="coco_17", joints=17)


def reference_person(model, dataset, annotation, protocol):
    """One annotated person through reference code: points, joint scores, crop area; or None."""
    spec = model.entry.input
    row = int(np.flatnonzero(dataset.images.id == dataset.truth.image_id[annotation])[0])
    image = cv2.imread(str(dataset.images.path(row)))
    box = reference_steps.hrnet_box(dataset.truth.box[annotation], image.shape[1], image.shape[0])
    if box is None:
        return None
    centre, scale = reference_steps.centre_scale(box, *spec.size)
    if spec.crop == "udp_affine":
        matrix = reference_steps.udp_matrix(centre, scale, *spec.size)
    else:
        matrix = reference_steps.hrnet_matrix(centre, scale, *spec.size)
    x = reference_steps.tensor(
        reference_steps.crop(image, matrix, *spec.size), spec.colour, spec.mean, spec.std
    )
    heat = reference_steps.heatmap(model.network, x, protocol.flip, protocol.shift)
    decode = {
        "argmax": reference_steps.decode_argmax,
        "quarter": reference_steps.decode_quarter,
        "softargmax": reference_steps.decode_softargmax,
        "dark": reference_steps.decode_dark,
    }[protocol.decode]
    joints = [decode(joint) for joint in heat]
    back = reference_steps.hrnet_matrix(centre, scale, *spec.heatmap_size, inverse=True)
    points = reference_steps.to_image([(x, y) for x, y, _ in joints], back)
    return points, [float(s) for _, _, s in joints], float(np.prod(scale * np.float32(200)))


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("decode", ["argmax", "quarter", "softargmax", "dark"])
def test_every_person_equals_the_reference_chain(dataset, name, decode):
    model = make.probe_model(SPECS[name])
    protocols = [
        make.protocol(decode=decode, flip=flip, shift=shift)
        for flip, shift in itertools.product([True, False], [True, False])
    ]
    persons = ground_truth_persons(dataset, model.entry.input, "clip_before_width")
    found = predict(model, dataset, persons, protocols, Options(batch_size=3))
    assert len(persons) == 5
    for protocol, predictions in zip(protocols, found, strict=True):
        for row, person in enumerate(persons.person_id):
            annotation = int(np.flatnonzero(dataset.truth.id == person)[0])
            points, scores, area = reference_person(model, dataset, annotation, protocol)
            # A nearly singular Hessian amplifies rounding: dark gets half a hundredth of a px.
            close = 5e-3 if decode == "dark" else 1e-3
            np.testing.assert_allclose(predictions.keypoints[row], points, atol=close)
            np.testing.assert_allclose(predictions.joint_scores[row], scores, atol=1e-5)
            assert predictions.crop_area[row] == pytest.approx(area)
        results = select(predictions, protocol)
        assert results.score[0] == pytest.approx(
            reference_steps.instance_score(predictions.joint_scores[0], 1.0)
        )


def test_crowds_and_persons_without_joints_are_not_estimated(dataset):
    persons = ground_truth_persons(dataset, SPECS["hrnet"], "clip_before_width")
    assert dataset.truth.crowd.sum() == 1
    assert (dataset.truth.num_keypoints == 0).sum() == 2
    assert len(dataset.truth) == 7
    without = dataset.truth.id[dataset.truth.num_keypoints == 0]
    assert not set(persons.person_id) & set(without)


@pytest.mark.parametrize("field", ["colour", "mean", "std", "padding", "crop"])
def test_every_part_of_the_input_moves_the_prediction(dataset, field):
    other = {
        "colour": "bgr",
        "mean": (0.3, 0.3, 0.3),
        "std": (0.1, 0.3, 0.9),
        "padding": 1.0,
        "crop": "udp_affine",
    }[field]
    spec = SPECS["hrnet"]
    both = []
    for each in (spec, spec.model_copy(update={field: other})):
        persons = ground_truth_persons(dataset, each, "clip_before_width")
        model = make.probe_model(each)
        both.append(predict(model, dataset, persons, [make.protocol()])[0].keypoints)
    assert np.abs(both[0] - both[1]).max() > 0.1


@pytest.mark.parametrize(
    "change",
    [
        {"shift": False},
        {"flip": False},
        {"decode": "argmax"},
        {"decode": "dark"},
        {"decode": "softargmax"},
        {"inverse": "udp"},
        {"coordinate_bias": 1.0},
    ],
)
def test_every_axis_of_the_protocol_moves_the_prediction(dataset, change):
    model = make.probe_model()
    persons = ground_truth_persons(dataset, model.entry.input, "clip_before_width")
    protocols = [make.protocol(), make.protocol(**change)]
    one, other = predict(model, dataset, persons, protocols)
    assert np.abs(one.keypoints - other.keypoints).max() > 0.05


def test_results_do_not_depend_on_threads_batches_or_order(dataset):
    model = make.probe_model()
    persons = ground_truth_persons(dataset, model.entry.input, "clip_before_width")
    runs = [
        predict(model, dataset, persons, [make.protocol()], Options(batch_size=b, threads=t))[0]
        for b, t in ((2, 1), (2, 4))
    ]
    assert runs[0].keypoints.tobytes() == runs[1].keypoints.tobytes()
    turned = np.arange(len(persons))[::-1]
    fields = {k: v[turned] if isinstance(v, np.ndarray) else v for k, v in vars(persons).items()}
    back = predict(model, dataset, Persons(**fields), [make.protocol()], Options(batch_size=2))[0]
    np.testing.assert_allclose(back.keypoints[turned], runs[0].keypoints, atol=1e-4)
    assert back.person_id[turned].tolist() == runs[0].person_id.tolist()


def test_the_last_batch_is_padded_to_full_size(dataset):
    spec = SPECS["hrnet"]
    persons = ground_truth_persons(dataset, spec, "clip_before_width")
    seen = list(batches(dataset, persons, spec, 4, 1))
    assert [len(batch.rows) for batch in seen] == [4, 1]
    assert [len(batch.crops) for batch in seen] == [4, 4]
    assert not seen[1].crops[1:].any()
    assert np.concatenate([batch.rows for batch in seen]).tolist() == [0, 1, 2, 3, 4]


def test_normalise_equals_the_reference_tensor():
    crop = make.image(48, 64, 5)
    for spec in (SPECS["hrnet"], SPECS["lpn"], InputSpec(size=(64, 48), std=(1.0, 1.0, 1.0))):
        ours = normalise(torch.from_numpy(crop[None]), spec)
        theirs = reference_steps.tensor(crop, spec.colour, spec.mean, spec.std)
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=1e-6)


def test_exif_orientation_is_the_readers_choice(tmp_path):
    """A 2:1 JPEG that says it lies on its side."""
    ok, encoded = cv2.imencode(".jpg", make.image(64, 32, 0))
    assert ok
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    data = encoded.tobytes()
    segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    path = tmp_path / "turned.jpg"
    path.write_bytes(data[:2] + segment + data[2:])
    assert read_image(path, "ignore").shape == (32, 64, 3)
    assert read_image(path, "apply").shape == (64, 32, 3)


@pytest.mark.parametrize("content", [None, b"", b"<html>"])
def test_a_bad_image_is_named(tmp_path, content):
    path = tmp_path / "gone.jpg"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"gone\.jpg"):
        read_image(path, "ignore")


def test_a_missing_image_stops_the_run(tmp_path):
    dataset = open_coco(make.write_coco(tmp_path))
    dataset.images.path(2).unlink()
    spec = SPECS["hrnet"]
    persons = ground_truth_persons(dataset, spec, "clip_before_width")
    with pytest.raises(UserError, match="000000000012"):
        predict(make.probe_model(spec), dataset, persons, [make.protocol()])


def test_a_network_of_another_keypoint_set_is_refused(dataset):
    model = make.probe_model()
    wrong = type(model)(make.Probe(joints=16), model.entry)
    persons = ground_truth_persons(dataset, model.entry.input, "clip_before_width")
    with pytest.raises(UserError, match="heatmaps"):
        predict(wrong, dataset, persons, [make.protocol()])


def test_progress_counts_persons(dataset):
    model = make.probe_model()
    persons = ground_truth_persons(dataset, model.entry.input, "clip_before_width")
    seen = []
    predict(
        model,
        dataset,
        persons,
        [make.protocol()],
        Options(batch_size=2),
        lambda *told: seen.append(told),
    )
    assert seen == [("persons", 2, 5), ("persons", 4, 5), ("persons", 5, 5)]


def test_a_full_width_box_needs_no_padding_row():
    """Shape check of the columnar box code for one and for no box."""
    for count in (0, 1):
        centre, scale = centre_and_scale(np.ones((count, 4)), SPECS["hrnet"])
        assert centre.shape == scale.shape == (count, 2)

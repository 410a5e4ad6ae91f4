"""From image files to keypoints: intervals between batches, and what the null network shows."""

from __future__ import annotations

import cv2
import make
import make_speed
import numpy as np
import pytest
from make_speed import Ticks

from posebench.timing import end_to_end
from posebench.timing.clocks import Effort
from posebench.timing.end_to_end import batch_intervals, time_end_to_end
from posebench.timing.forward import prepare
from posebench.timing.samples import (
    PERSONS,
    draw_images,
    fingerprint,
    given_images,
    persons_on,
)
from posebench.types.entry import InputSpec
from posebench.types.errors import UserError

SHORT = Effort(iterations=5, seconds=0.0, agreeing=2, warm_up=3)


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    return draw_images(tmp_path_factory.mktemp("drawn"), 2)


def test_drawn_images_are_the_same_everywhere_and_as_large_as_photographs(paths, tmp_path):
    assert cv2.imread(str(paths[0])).shape == (480, 640, 3)
    # COCO's val2017 has 163 KB an image
    assert 60_000 < paths[0].stat().st_size < 400_000
    again = draw_images(tmp_path, 2)
    assert fingerprint(again) == fingerprint(paths)
    assert fingerprint(again[::-1]) != fingerprint(paths)


def test_given_images_are_found_or_asked_for(tmp_path):
    with pytest.raises(UserError, match="There is no folder"):
        given_images(tmp_path / "none")
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(UserError, match="holds no images"):
        given_images(tmp_path)
    for name in ("b.JPG", "a.png"):
        cv2.imwrite(str(tmp_path / name), np.zeros((4, 4, 3), np.uint8))
    assert [path.name for path in given_images(tmp_path)] == ["a.png", "b.JPG"]


@pytest.mark.parametrize("crop", ["hrnet_affine", "udp_affine", "alpha_pose_box"])
def test_so_many_persons_lie_in_their_images(paths, crop):
    spec = InputSpec(size=(64, 48), crop=crop)
    dataset, persons = persons_on(
        paths,
        spec,
        10,
    )
    assert len(persons) == 10
    assert np.bincount(persons.image_index).tolist() == [PERSONS, PERSONS, PERSONS, 1]
    assert [dataset.images.path(i) for i in range(4)] == [paths[0], paths[1]] * 2
    x, y, width, height = persons.box.T
    assert (x >= 0).all() and (x + width <= 640).all()
    assert (y >= 0).all() and (y + height <= 480).all()
    assert len(np.unique(height)) == 10


def test_an_iteration_is_the_time_from_batch_to_batch(paths):
    # the first look starts the clock; 0.9 while what was read ahead is used up
    now = Ticks(5.0, *[0.9] * 5, 0.3, 0.1, 0.1, 0.4, 0.5, 0.6, 0.7, 0.8)
    cell = make_speed.cell(batch_size=2)  # 4 images of 3 persons ahead: 6 batches
    protocol = make.protocol(flip=False)
    found = batch_intervals(make.probe_model(), protocol, cell, paths, SHORT, 1.0, now)
    assert found.seconds == pytest.approx((0.4, 0.5, 0.6, 0.7, 0.8))
    assert (found.warm_up, found.settled) == (3, True)


def test_the_whole_way_is_timed_with_the_network_and_without(paths, monkeypatch):
    for name in ("QUICK", "NULL"):
        monkeypatch.setattr(end_to_end, name, SHORT)
    cell = make_speed.cell(batch_size=4, flip=True)
    prepared = prepare(make.probe_model(), cell)
    seen = []
    original = end_to_end.predict

    def spy(model, dataset, persons, protocols, options, progress):
        seen.append((type(model.network).__name__, options, protocols[0].flip))
        return original(model, dataset, persons, protocols, options, progress)

    monkeypatch.setattr(end_to_end, "predict", spy)
    protocol = make.protocol(flip=True)
    found = time_end_to_end(prepared, protocol, cell, make_speed.cost(), paths, 0.01)
    assert [name for name, *_ in seen] == ["Probe", "NullNetwork"]
    assert all((o.batch_size, o.threads, o.device) == (4, 1, "cpu") for _, o, _ in seen)
    assert all(flip for *_, flip in seen)
    assert len(found.seconds) == 5
    assert found.scope == "end to end"
    assert found.overhead > 0
    assert found.data == (
        "2 drawn image files, the first 640x480, 3 persons an image; decoded as test@1"
    )

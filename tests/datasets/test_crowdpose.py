"""CrowdPose's annotations: areas from boxes, and a crowd index for each image."""

from __future__ import annotations

import annotation_files as files
import pytest

from posebench.datasets.crowdpose import load_crowdpose
from posebench.datasets.sample import restrict
from posebench.types.dataset import Sample
from posebench.types.errors import UserError


def load(path, content):
    file = files.write(path / "crowd.json", content)
    return load_crowdpose(file, path, dataset_id="crowdpose", keypoint_set="crowdpose_14")


def test_area_is_a_share_of_the_box_and_every_image_has_its_index(tmp_path):
    dataset = load(tmp_path, files.crowdpose())
    assert dataset.truth.area == pytest.approx([0.53 * 60 * 70] * 3)
    assert dataset.truth.keypoints.shape == (3, 14, 3)
    assert dict(zip(dataset.images.id, dataset.images.crowd_index, strict=True)) == {7: 0.1, 5: 0.6}


def test_the_first_images_keep_their_index(tmp_path):
    first = restrict(load(tmp_path, files.crowdpose()), Sample(limit=1, order="file")).images
    assert (first.id.tolist(), first.crowd_index.tolist()) == ([7], [0.1])


def test_a_file_without_crowd_indices_is_refused(tmp_path):
    content = files.crowdpose()
    del content["images"][1]["crowdIndex"]
    with pytest.raises(UserError, match="how crowded"):
        load(tmp_path, content)

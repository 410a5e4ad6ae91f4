"""mmpose's own evaluation of a row: its dataset, pipeline, model and decoding."""

from __future__ import annotations

import copy
import warnings

import numpy as np
import torch

from posebench.adapters.mmpose import estimator
from posebench.adapters.mmpose_config import read_config
from posebench.adapters.mmpose_index import config_file, package_folder
from posebench.run import fill


def config_of(entry):
    return read_config(config_file(package_folder(), entry.network.arguments["config"]))


def filled(network, gain=1.0):
    """Fill a network from its parameters' names; returns its state."""
    state = {
        name: torch.from_numpy(fill.parameter(name, tuple(value.shape), gain)).to(value.dtype)
        for name, value in network.state_dict().items()
    }
    network.load_state_dict(state)
    return state


def dataset_of(config, **files):
    """mmpose's test dataset of a config, reading the given files.

    Args:
        config: mmengine's.
        files: ``ann_file``, ``bbox_file`` and ``img`` (the folder of images).
    """
    from mmengine.registry import init_default_scope
    from mmpose.registry import DATASETS

    estimator_scope = "mmpose"
    init_default_scope(estimator_scope)
    import mmpose.datasets  # noqa: F401

    spec = copy.deepcopy(config.val_dataloader.dataset.to_dict())
    for step in spec["pipeline"]:
        step.pop("backend_args", None)
        step.pop("file_client_args", None)
    spec |= {"data_root": "", "ann_file": str(files["ann_file"])}
    spec |= {"data_prefix": {"img": str(files["img"])}, "test_mode": True}
    spec["bbox_file"] = None if files.get("bbox_file") is None else str(files["bbox_file"])
    if spec["type"] == "MpiiDataset":
        spec.pop("bbox_file")
    return DATASETS.build(spec)


def predicted(entry, state, dataset, count):
    """Run mmpose's model over the first persons of its dataset, in one batch.

    Args:
        entry: The row.
        state: Weights of backbone, neck and head.
        dataset: From ``dataset_of``.
        count: How many persons.

    Returns:
        mmpose's data samples, in the order of the dataset.
    """
    model = estimator(config_of(entry)).float().eval()
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected
    assert not [name for name in missing if not name.startswith("data_preprocessor")]
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rows = [dataset[place] for place in range(count)]
        columns = {key: [row[key] for row in rows] for key in ("inputs", "data_samples")}
        return model.test_step(columns)


def keypoints_of(samples):
    """(N, K, 2) px and (N, K) scores of data samples of one person each."""
    found = [sample.pred_instances for sample in samples]
    points = np.concatenate([np.asarray(each.keypoints) for each in found])
    return points, np.concatenate([np.asarray(each.keypoint_scores) for each in found])

"""mmpose's own evaluation of a row: its dataset, pipeline, model and decoding."""

from __future__ import annotations

import copy
import warnings

import numpy as np
import torch

from posebench.mmpose.build import estimator
from posebench.mmpose.config import read_config
from posebench.mmpose.index import config_file, package_folder
from posebench.networks import deterministic_weights


def config_of(entry):
    return read_config(config_file(package_folder(), entry.network.arguments["config"]))


ROUNDING = 2 * np.finfo(np.float32).eps
LAST_BIAS = "head.final_layer.bias"


def filled(network, size, gain):
    """Fill a network from its parameters' names; returns its state.

    Heatmaps are lifted above zero by half their range where their last layer has a bias: DARK
    takes their logarithm, and where that is cut off a flat map's Hessian is only rounding.
    """
    state = network.state_dict()  # with the versions of its parts: nothing is to be renamed
    for name, value in state.items():
        state[name] = torch.from_numpy(
            deterministic_weights.parameter(name, tuple(value.shape), gain)
        ).to(value.dtype)
    network.load_state_dict(state)
    if LAST_BIAS in state:
        with torch.inference_mode():
            found = network(torch.from_numpy(deterministic_weights.network_input((1, 3, *size))))
        low, high = float(found.min()), float(found.max())
        state[LAST_BIAS] = state[LAST_BIAS] + (0.5 * (high - low) - low)
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

    return DATASETS.build(dataset_spec(config, **files))


def dataset_spec(config, **files):
    """What ``dataset_of`` builds."""
    spec = copy.deepcopy(config.val_dataloader.dataset.to_dict())
    for step in spec["pipeline"]:
        step.pop("backend_args", None)
        step.pop("file_client_args", None)
    spec |= {"data_root": "", "ann_file": str(files["ann_file"])}
    spec |= {"data_prefix": {"img": str(files["img"])}, "test_mode": True}
    spec["bbox_file"] = None if files.get("bbox_file") is None else str(files["bbox_file"])
    if spec["type"] == "MpiiDataset":
        for key in ("bbox_file", "headbox_file"):
            spec.pop(key, None)
    return spec


def predicted(entry, state, dataset, count, batch=None):
    """Run mmpose's model over the first persons, or whole images, of its dataset.

    Args:
        entry: The row.
        state: Weights of backbone, neck and head.
        dataset: From ``dataset_of``.
        count: How many.
        batch: So many at once; all of them if None.

    Returns:
        mmpose's data samples, in the order of the dataset, and its codec if it has one.
    """
    model = estimator(config_of(entry)).float().eval()
    model.test_cfg = dict(model.test_cfg) | {"output_heatmaps": "heatmaps" in entry.input.output}
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected
    assert not [name for name in missing if not name.startswith("data_preprocessor")]
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found, step = [], batch or count
        for first in range(0, count, step):
            rows = [dataset[place] for place in range(first, min(first + step, count))]
            columns = {key: [row[key] for row in rows] for key in ("inputs", "data_samples")}
            found += model.test_step(columns)
        return found, getattr(model.head, "decoder", None)


def runner_config(config, weights, folder, **files):
    """A config for mmengine's ``Runner.test``, made of what it says of validation.

    Data are read in this process; nothing is drawn, which would need torchvision.

    Args:
        config: mmengine's.
        weights: A file that the runner loads.
        folder: The runner's; its results go to ``results.keypoints.json`` there.
        files: As for ``dataset_of``.
    """
    made, loader = copy.deepcopy(config), config.val_dataloader.to_dict()
    reading = {"num_workers": 0, "persistent_workers": False}
    made.test_dataloader = loader | reading | {"dataset": dataset_spec(config, **files)}
    metric = {"ann_file": str(files["ann_file"]), "outfile_prefix": str(folder / "results")}
    made.test_evaluator = config.val_evaluator.to_dict() | metric
    made.visualizer = {"type": "mmengine.Visualizer"}
    for name in ("visualization", "badcase"):
        made.default_hooks.pop(name)
    made.model.backbone.init_cfg = None
    made.work_dir, made.load_from, made.launcher = str(folder), str(weights), "none"
    made.log_level, made.env_cfg = "ERROR", {}
    return made


def keypoints_of(samples):
    """(N, K, 2) px and (N, K) scores of data samples of one person each."""
    found = [sample.pred_instances for sample in samples]
    points = np.concatenate([np.asarray(each.keypoints) for each in found])
    return points, np.concatenate([np.asarray(each.keypoint_scores) for each in found])


def shaky(samples, codec, limit):
    """(N, K) joints that mmpose itself does not place to ``limit`` px, given rounding.

    Its decoding of its own heatmaps, moved by twice the rounding of their peak: a step through a
    nearly singular Hessian moves much further.
    """
    generator = np.random.default_rng(0)
    found = []
    for sample in samples:
        maps = sample.pred_fields.heatmaps.numpy()
        apart = 0.0
        for _ in range(4):
            moved = maps + np.abs(maps).max() * ROUNDING * generator.choice([-1, 1], maps.shape)
            one, other = (codec.decode(m.astype(np.float32))[0] for m in (maps, moved))
            apart = np.maximum(apart, np.linalg.norm(one - other, axis=2)[0])
        found.append(apart > limit)
    return np.array(found)

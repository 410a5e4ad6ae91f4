"""One of mmpose's configs in posebench's words.

What belongs to the weights, how mmpose evaluates them, and why a model cannot be run. Configs are
read with mmengine, which runs their Python: only those of the installed wheel are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from posebench.types.errors import UserError

TOP_DOWN = "TopdownPoseEstimator"
# Dataset class -> dataset of posebench, its keypoint set, annotations and scorer.
DATASETS: dict[str, tuple[str, str]] = {
    "CocoDataset": ("coco", "coco_17"),
    "HumanArtDataset": ("coco", "coco_17"),
    "MpiiDataset": ("mpii", "mpii_16"),
    "CocoWholeBodyDataset": ("coco_wholebody", "wholebody_133"),
    "CrowdPoseDataset": ("crowdpose", "crowdpose_14"),
    "CombinedDataset": ("halpe_26", "halpe_26"),
}
# How mmpose's CocoMetric and its kin score on these datasets.
SCORING: dict[str, dict[str, Any]] = {
    "coco": {"annotations": "person_keypoints_val2017", "scorer": "xtcoco_oks"},
    "mpii": {"annotations": "valid", "scorer": "mpii_pckh"},
    "coco_wholebody": {"annotations": "coco_wholebody_val_v1.0", "scorer": "wholebody_oks"},
    "crowdpose": {"annotations": "mmpose_crowdpose_test", "scorer": "crowdpose_oks"},
    "halpe_26": {"annotations": "halpe_val_v1", "scorer": "xtcoco_oks"},
}
BOXES = {"coco": "det56", "coco_wholebody": "det56", "halpe_26": "det56", "crowdpose": "det_crowd"}
# mmpose's score_mode -> rescoring; models of whole images report the last two by themselves.
RESCORING = {
    "bbox_keypoint": "box_times_mean_visible",
    "bbox_rle": "alphapose_2019",
    "bbox": "none",
    "keypoint": "none",
}
# What mmpose's reader and its arithmetic of boxes do for every model.
READING: dict[str, Any] = {"pixel_std": 1.0, "box_precision": "single", "exif": "apply"}
GREY: dict[str, Any] = {
    "levels": 255,
    "mean": [123.675, 116.28, 103.53],
    "std": [58.395, 57.12, 57.375],
}
NMS = {"oks_nms": "oks", "soft_oks_nms": "soft_oks", "none": "none"}
OFFSETS = "combined"
# Parts of models that neither mmpose nor mmcv-lite bring.
ELSEWHERE = {"mmpretrain": "mmpretrain", "mmcls": "mmpretrain"}
# Heads that give boxes with their persons, which mmpose writes beside the joints.
BOXED = ("RTMOHead", "YOLOXPoseHead")


@dataclass(frozen=True)
class Facts:
    """What a config says.

    Attributes:
        dataset: Of posebench.
        input: Fields of ``InputSpec`` that are not its defaults.
        choices: Fields of ``Protocol`` that are not its defaults.
        boxes_stated: Whether the config itself names the detector file.
        reason: Why the model cannot be run; None where it can.
    """

    dataset: str
    input: Mapping[str, Any] = field(default_factory=dict)
    choices: Mapping[str, Any] = field(default_factory=dict)
    boxes_stated: bool = True
    reason: str | None = None


def read_config(path: Path) -> Any:
    """Return mmengine's ``Config`` of a file.

    Raises:
        UserError: mmengine is missing or cannot read it.
    """
    from posebench.mmpose.index import INSTALL

    try:
        from mmengine.config import Config
    except ImportError as error:
        raise UserError(f"mmengine cannot be imported: {error}.", INSTALL) from error
    try:
        return Config.fromfile(str(path))
    except Exception as error:  # configs are programs: anything may happen
        raise UserError(f"{path.name} cannot be read: {type(error).__name__}.", INSTALL) from error


def evaluator_of(config: Any) -> Any:
    """The metric with which mmpose evaluates a model, the first of several."""
    metric = config["val_evaluator"]
    return metric[0] if isinstance(metric, (list, tuple)) else metric


def facts_of(config: Any) -> Facts:
    """Return what a config says about its weights and their evaluation.

    Raises:
        UserError: It holds something that posebench has no word for.
    """
    model = config["model"]
    data = config["val_dataloader"]["dataset"]
    dataset, keypoints = DATASETS[data["type"]]
    if model["type"] != TOP_DOWN:
        return _whole_images(config, dataset, keypoints)
    codec = _codec(model["head"])
    width, height = codec["input_size"]
    output, choices = _decoding(codec, model["head"]["type"])
    stride = _stride(codec) if "heatmaps" in output else 1
    udp = _uses_udp(data.get("pipeline") or config["val_pipeline"])
    spec = {
        "size": [height, width],
        "crop": "udp_affine" if udp else "mmpose_affine",
        **READING,
        **_normalising(model),
        "keypoints": keypoints,
        **({"stride": stride} if stride not in (4, None) else {}),
        **({"output": output} if output != "heatmaps" else {}),
    }
    test = model.get("test_cfg") or {}
    choices |= {"flip": bool(test.get("flip_test", False)), "shift": _shift(test, output)}
    choices |= SCORING[dataset] | _boxes_and_scores(config, dataset)
    boxes = data.get("bbox_file")
    stated = dataset == "mpii" or (boxes is not None and data["type"] != "HumanArtDataset")
    reason = _missing_part(model)
    if stride is None:
        cells = "x".join(map(str, codec["heatmap_size"]))
        reason = f"heatmaps of {cells} cells are not a whole share of the input's {width}x{height}"
    return Facts(dataset, spec, choices, stated, reason)


def _normalising(model: Any) -> dict[str, Any]:
    steps = model["data_preprocessor"]
    found = {"levels": 255, "mean": list(steps["mean"]), "std": list(steps["std"])}
    return found | ({} if steps.get("bgr_to_rgb") else {"colour": "bgr"})


def _codec(head: Any) -> Any:
    decoder = head["decoder"]
    return decoder[-1] if isinstance(decoder, (list, tuple)) else decoder


def _decoding(codec: Any, head: str) -> tuple[str, dict[str, Any]]:
    """Return what the network gives, and the axes that decode it."""
    kind = codec["type"]
    if kind == "SimCCLabel" and not codec.get("use_dark", False):
        return "simcc", {"decode": "simcc", "no_peak": "outside"}
    if kind in ("RegressionLabel", "IntegralRegressionLabel"):
        return "coordinates", {"decode": "coordinates"}
    kernel = {"dark_kernel": int(codec.get("blur_kernel_size", 11))}
    ways: dict[str, tuple[str, dict[str, Any]]] = {
        "MSRAHeatmap": ("heatmaps", {"decode": "quarter_each_axis"}),
        "UDPHeatmap": ("heatmaps", {"decode": "dark_udp", "inverse": "udp"} | kernel),
        "MegviiHeatmap": ("heatmaps", {"decode": "quarter_and_half"}),
    }
    if kind not in ways:
        raise UserError(f"posebench has no word for mmpose's codec {kind} in {head}.")
    output, choices = ways[kind]
    if codec.get("unbiased"):
        choices = {"decode": "dark"} | kernel
    if codec.get("heatmap_type") == OFFSETS:
        output, choices = "offset_heatmaps", choices | {"decode": "udp_offsets"}
    if kind == "MegviiHeatmap":
        choices = choices | {"dark_kernel": int(codec["kernel_size"])}
    return output, choices | {"no_peak": "outside"}


def _stride(codec: Any) -> int | None:
    """Input pixels per cell; None where that is not a whole number, or not the same both ways."""
    strides = {i / h for i, h in zip(codec["input_size"], codec["heatmap_size"], strict=True)}
    whole = len(strides) == 1 and all(stride.is_integer() for stride in strides)
    return int(strides.pop()) if whole else None


def _shift(test: Any, output: str) -> bool:
    if output == "coordinates":
        return bool(test.get("shift_coords", True))
    return output != "simcc" and bool(test.get("shift_heatmap", False))


def _uses_udp(pipeline: Any) -> bool:
    return any(step["type"] == "TopdownAffine" and step.get("use_udp") for step in pipeline)


def _boxes_and_scores(config: Any, dataset: str) -> dict[str, Any]:
    """Axes of boxes and instance scores; coordinates and shares have no threshold to pass."""
    if dataset == "mpii":
        return {"boxes": "annotation", "rescoring": "none", "nms": "none"}
    metric = evaluator_of(config)
    choices = {
        "boxes": "detector",
        "box_file": BOXES[dataset],
        "rescoring": RESCORING[metric.get("score_mode", "bbox_keypoint")],
        "nms": NMS[metric.get("nms_mode", "oks_nms")],
        "nms_threshold": float(metric.get("nms_thr", 0.9)),
    }
    # mmpose writes the box beside the joints, so that the evaluator takes its area; not so for
    # the parts of the whole body.
    return choices if dataset == "coco_wholebody" else choices | {"result_area": "box"}


def _whole_images(config: Any, dataset: str, keypoints: str) -> Facts:
    """Models that find persons themselves: by heatmaps and tags, or inside their heads."""
    model = config["model"]
    data = config["val_dataloader"]["dataset"]
    pipeline = data.get("pipeline") or config["val_pipeline"]
    resize = next(step for step in pipeline if step["type"] == "BottomupResize")
    width, height = resize["input_size"]
    test, head, metric = model.get("test_cfg") or {}, model["head"]["type"], evaluator_of(config)
    tagged = head == "AssociativeEmbeddingHead"
    grey, grid = int(resize.get("pad_val", (0,))[0]), int(resize.get("size_factor", 32))
    mode = resize.get("resize_mode", "fit")
    spec: dict[str, Any] = {
        "size": [height, width],
        "crop": f"whole_image_{mode}",
        **({"grid": grid} if mode == "expand" and grid != 64 else {}),
        **({"border": grey} if grey else {}),
        "keypoints": keypoints,
        "exif": READING["exif"],
        **_normalising(model),
        **({} if tagged else {"stride": 1, "output": "persons"}),
    }
    nms = NMS[metric.get("nms_mode", "oks_nms")]
    choices = {
        "boxes": "none",
        "decode": "associative_embedding_filled" if tagged else "own",
        "flip": bool(test.get("flip_test", False)),
        "shift": bool(test.get("shift_heatmap", False)),
        "rescoring": RESCORING[metric.get("score_mode", "bbox_keypoint")],
        "nms": nms,
        **({} if nms == "none" else {"nms_threshold": float(metric.get("nms_thr", 0.9))}),
        **({"result_area": "box"} if head in BOXED else {}),
    }
    return Facts(dataset, spec, choices | SCORING[dataset])


def _missing_part(model: Any) -> str | None:
    package = str(model["backbone"]["type"]).partition(".")[0]
    if package in ELSEWHERE:
        return f"{model['backbone']['type']} needs {ELSEWHERE[package]}"
    return None

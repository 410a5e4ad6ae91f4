"""Options that several verbs share: data, how to run, and the axes of a protocol."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, get_args

from posebench.cli.common import finite, positive
from posebench.inference.plugin_tables import DECODERS, RUNTIMES
from posebench.scoring.plugin_tables import SCORERS
from posebench.types import protocol as axes
from posebench.types import timing

# Every other axis of Protocol has an option of its own: name -> (type, choices, help).
AXES: dict[str, tuple[Callable[[str], Any], Collection[str] | None, str]] = {
    "sanitise": (str, get_args(axes.Sanitise), "how ground-truth boxes are cleaned"),
    "box_score_threshold": (finite, None, "detector boxes below this score are dropped"),
    "flip_merge": (str, get_args(axes.FlipMerge), "what the mirrored pass is averaged with"),
    "decode": (str, DECODERS.names, "from heatmap to coordinates"),
    "no_peak": (str, get_args(axes.NoPeak), "where a joint without a positive heatmap stands"),
    "dark_kernel": (positive, None, "side of the blur kernel of dark, cells"),
    "softargmax_beta": (finite, None, "factor before the softmax of softargmax"),
    "inverse": (str, get_args(axes.Inverse), "from heatmap cells back to pixels"),
    "coordinate_bias": (finite, None, "pixels subtracted from the coordinates"),
    "rescoring": (str, get_args(axes.Rescoring), "from joint scores to the instance score"),
    "visibility_threshold": (finite, None, "joint scores above this count in rescoring"),
    "nms": (str, get_args(axes.Nms), "suppression of duplicate persons"),
    "nms_threshold": (finite, None, "OKS above which the lower-scored person is dropped"),
    "result_area": (str, ("extent", "box"), "what a prediction's size is measured by"),
    "max_detections": (positive, None, "persons an image that are scored"),
    "scorer": (str, SCORERS.names, "the evaluator"),
}
SWITCHES = {
    "flip": "average with the mirrored crop",
    "shift": "move mirrored heatmaps by one cell",
    "dummy_boxes": "a box at the origin of images without persons",
}


LIMIT = "only N images, the same for every model: those whose id has the smallest SHA-256"
Group = argparse.ArgumentParser | argparse._ArgumentGroup


def add_data(group: Group) -> None:
    """Add dataset, weights and where both lie."""
    group.add_argument("--dataset", metavar="NAME", help="dataset of the model's claims")
    group.add_argument("--checkpoint", metavar="FILE", type=Path, help="the published weights")
    group.add_argument(
        "--data-root",
        metavar="DIR",
        type=Path,
        help="folder with annotations/ and the images (default: POSEBENCH_DATA)",
    )
    group.add_argument("--annotations", metavar="FILE", type=Path, help="another annotation file")
    group.add_argument("--images", metavar="DIR", type=Path, help="another image folder")
    group.add_argument("--limit", metavar="N", type=positive, help=LIMIT)


def add_running(group: Group) -> None:
    """Add device, batch size and threads."""
    group.add_argument("--device", default="cpu", metavar="cpu|cuda:N", help="(default: cpu)")
    group.add_argument("--batch-size", type=positive, default=64, metavar="N", help="(default: 64)")
    group.add_argument("--threads", type=positive, metavar="N", help="threads that read and crop")
    group.add_argument("--fold", action="store_true", help="BatchNorms into convolutions")
    group.add_argument("--channels-last", action="store_true", help="layout of the activations")
    group.add_argument("--compile", action="store_true", help="by torch.compile")
    group.add_argument(
        "--runtime",
        choices=RUNTIMES.names,
        default="torch",
        help="what computes the network; one batch is checked against torch's",
    )


def add_overwrite(group: Group, *, default: str) -> None:
    """Add what happens to an earlier record of the same measurement."""
    group.add_argument(
        "--overwrite",
        choices=("always", "never"),
        default=default,
        help=f"replace an earlier record of the same measurement (default: {default})",
    )


def add_axes(group: Group) -> None:
    """Add one option for each axis of ``Protocol`` that has no other."""
    for name, words in SWITCHES.items():
        group.add_argument(
            option(name), action=argparse.BooleanOptionalAction, default=None, help=words
        )
    for name, (kind, choices, words) in AXES.items():
        metavar = None if choices else "N"
        group.add_argument(option(name), type=kind, choices=choices, metavar=metavar, help=words)


def option(axis: str) -> str:
    """Return the option of a protocol axis."""
    return f"--{axis.replace('_', '-')}"


def shared_arguments(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what ``add_data``, ``add_running`` and ``add_axes`` parsed, as keyword arguments."""
    names = (
        *("dataset", "checkpoint", "data_root", "annotations", "images", "limit"),
        *("device", "batch_size", "threads", "registry"),
        *SWITCHES,
        *AXES,
    )
    form = timing.Form(
        folded=arguments.fold,
        channels_last=arguments.channels_last,
        compiled=arguments.compile,
        runtime=arguments.runtime,
    )
    return {name: getattr(arguments, name) for name in names} | {"form": form}

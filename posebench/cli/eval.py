"""``posebench eval``: the contract that other tools call."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

from posebench.cli.common import Parser, positive, print_json
from posebench.cli.progress import progress
from posebench.types import protocol as axes

EXAMPLES = (
    "posebench eval --model demo_s --dataset synthetic",
    "posebench eval --model demo_s --dataset synthetic --no-flip --decode dark --json",
    "posebench eval --model tinypose_256x192 --dataset coco \\",
    "    --checkpoint tinypose_256x192.pdparams --data-root coco",
    "posebench eval --model lpn_50 --dataset coco --checkpoint lpn_50.pth --data-root coco \\",
    "    --boxes COCO_val2017_detections_AP_H_56_person.json --save-predictions",
)

# Every other axis of Protocol has an option of its own: name -> (type, choices, help).
AXES: dict[str, tuple[Callable[[str], Any], tuple[str, ...] | None, str]] = {
    "sanitise": (str, get_args(axes.Sanitise), "how ground-truth boxes are cleaned"),
    "box_score_threshold": (float, None, "detector boxes below this score are dropped"),
    "flip_merge": (str, ("heatmaps", "coordinates"), "what the mirrored pass is averaged with"),
    "decode": (str, get_args(axes.Decode), "from heatmap to coordinates"),
    "dark_kernel": (int, None, "side of the blur kernel of dark, cells"),
    "softargmax_beta": (float, None, "factor before the softmax of softargmax"),
    "inverse": (str, get_args(axes.Inverse), "from heatmap cells back to pixels"),
    "coordinate_bias": (float, None, "pixels subtracted from the coordinates"),
    "rescoring": (str, get_args(axes.Rescoring), "from joint scores to the instance score"),
    "visibility_threshold": (float, None, "joint scores above this count in rescoring"),
    "nms": (str, get_args(axes.Nms), "suppression of duplicate persons"),
    "nms_threshold": (float, None, "OKS above which the lower-scored person is dropped"),
    "max_detections": (positive, None, "persons an image that are scored"),
    "scorer": (str, get_args(axes.Scorer), "the evaluator"),
}
SWITCHES = {
    "flip": "average with the mirrored crop",
    "shift": "move mirrored heatmaps by one cell",
    "dummy_boxes": "a box at the origin of images without persons",
}


def add_arguments(parser: Parser) -> None:
    """Add the contract's options and one for each further axis of ``Protocol``."""
    data = parser.add_argument_group("model and data")
    data.add_argument("--model", required=True, metavar="NAME", help="zoo/id, id or short name")
    data.add_argument("--dataset", metavar="NAME", help="dataset of the model's claims")
    data.add_argument("--checkpoint", metavar="FILE", type=Path, help="the published weights")
    data.add_argument(
        "--data-root",
        metavar="DIR",
        type=Path,
        help="folder with annotations/ and the images (default: POSEBENCH_DATA)",
    )
    data.add_argument("--annotations", metavar="FILE", type=Path, help="another annotation file")
    data.add_argument("--images", metavar="DIR", type=Path, help="another image folder")
    data.add_argument("--limit", metavar="N", type=positive, help="only the first N images")
    _add_protocol(parser)
    how = parser.add_argument_group("running")
    how.add_argument("--device", default="cpu", metavar="cpu|cuda:N", help="(default: cpu)")
    how.add_argument("--batch-size", type=positive, default=64, metavar="N", help="(default: 64)")
    how.add_argument("--threads", type=positive, metavar="N", help="threads that read and crop")
    how.add_argument(
        "--output",
        type=Path,
        default=Path("results"),
        metavar="DIR",
        help="where the record goes (default: results)",
    )
    how.add_argument(
        "--save-predictions",
        action="store_true",
        help="write the raw predictions and COCO results to DIR/predictions",
    )


def _add_protocol(parser: Parser) -> None:
    group = parser.add_argument_group(
        "protocol", "by default each claim's own; any axis can be overridden"
    )
    group.add_argument(
        "--protocol",
        default="claim",
        metavar="claim|common|NAME",
        help="the claims' own (default), one footing for all models, or a named one",
    )
    group.add_argument(
        "--boxes", metavar="gt|detector|FILE.json", help="where the persons come from"
    )
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


def run(arguments: argparse.Namespace) -> int:
    """Evaluate, store the record, print it."""
    from posebench.cli.results import evaluation_text
    from posebench.records.store import save, to_json
    from posebench.run import evaluate

    predictions = arguments.output / "predictions" if arguments.save_predictions else None
    # Evaluators talk on stdout; with --json it belongs to the record alone.
    with contextlib.redirect_stdout(sys.stderr), progress() as report:
        record = evaluate(
            arguments.model,
            dataset=arguments.dataset,
            protocol=arguments.protocol,
            boxes=arguments.boxes,
            checkpoint=arguments.checkpoint,
            data_root=arguments.data_root,
            annotations=arguments.annotations,
            images=arguments.images,
            device=arguments.device,
            batch_size=arguments.batch_size,
            threads=arguments.threads,
            limit=arguments.limit,
            save_predictions=predictions,
            registry=arguments.registry,
            progress=report,
            command=arguments.command,
            **_choices(arguments),
        )
    path = save(record, arguments.output)
    if arguments.json:
        print_json(to_json(record) | {"file": str(path)})
    else:
        print(evaluation_text(record))
        print(f"\nrecord  {path}")
        if predictions:
            print(f"predictions  {predictions}")
    return 0


def _choices(arguments: argparse.Namespace) -> dict[str, Any]:
    return {axis: getattr(arguments, axis) for axis in (*SWITCHES, *AXES)}

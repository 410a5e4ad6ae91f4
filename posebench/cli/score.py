"""``posebench score``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from posebench.cli.parser import LIMIT, NAMED, Parser, add_axes, options_of_protocol, positive
from posebench.cli.tables import key_value_table, number, scores_text, span, table
from posebench.cli.terminal import emit, print_json
from posebench.types.comparison import Scored

EXAMPLES = (
    "posebench score --predictions runs/predictions/predictions-demo_gt-0123abcd.npz \\",
    "    --dataset synthetic --nms none",
    "posebench score --predictions other_tool.json --dataset coco --data-root coco",
    "posebench score --predictions other_tool.json --dataset coco --engine pycocotools",
)


def add_arguments(parser: Parser) -> None:
    """Add the file, its data, and the choices that still can be made."""
    add_predictions(parser)
    add_where(parser)
    parser.add_argument(
        "--engine",
        default="own",
        choices=("own", "pycocotools", "xtcocotools"),
        help="what computes the scores; another evaluator must be installed (default: own)",
    )


def add_predictions(parser: Parser) -> None:
    """Add the one file of predictions, by its place or by ``--predictions FILE``."""
    parser.add_argument(
        "predictions",
        metavar="PREDICTIONS",
        type=Path,
        nargs="?",
        help="posebench's columnar file (.npz), a results file in COCO's format of any tool, or "
        "a record whose predictions were saved",
    )
    parser.add_argument(
        "--predictions",
        dest=NAMED["predictions"],
        metavar="FILE",
        type=Path,
        action="append",
        help="the same",
    )


def add_where(parser: Parser) -> None:
    """Add data and the choices that work on saved predictions."""
    data = parser.add_argument_group("data")
    data.add_argument("--dataset", metavar="NAME", help="that the predictions were made for")
    data.add_argument(
        "--data-root",
        metavar="DIR",
        type=Path,
        help="folder with annotations/ (default: POSEBENCH_DATA); images are not needed",
    )
    data.add_argument("--annotations", metavar="FILE", type=Path, help="another annotation file")
    data.add_argument("--limit", metavar="N", type=positive, help=LIMIT)
    choices = parser.add_argument_group(
        "choices", "by default the record's; a results file takes the last three alone"
    )
    choices.add_argument("--protocol", metavar="NAME", help="whose choices count")
    add_axes(choices, "selection", "scoring")


def where(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what ``add_where`` parsed, as keyword arguments."""
    names = ("dataset", "data_root", "annotations", "limit", "protocol", "registry")
    choices = options_of_protocol("selection", "scoring")
    return {name: getattr(arguments, name) for name in (*names, *choices)}


def run(arguments: argparse.Namespace) -> int:
    """Score, print."""
    from posebench import score

    found = score(arguments.predictions, engine=arguments.engine, **where(arguments))
    print_json(found.to_json()) if arguments.json else emit(text(found))
    return 0


def text(found: Scored) -> str:
    """What was scored, the scores, and the intervals of those that papers print."""
    intervals = [
        (name, number(found.scores[name]), span(interval))
        for name, interval in found.intervals.items()
        if name.rpartition("/")[2] in ("AP", "AR") or name in ("PCKh@0.5", next(iter(found.scores)))
    ]
    parts = [
        key_value_table(what(found)),
        scores_text(found.scorer, found.scores),
        table(("metric", "measured", "95 % interval"), intervals, right=("measured",)),
    ]
    return "\n\n".join(part for part in parts if part)


def what(found: Scored) -> list[tuple[str, str]]:
    """Name the predictions, the data and the choices."""
    from posebench.records.formatting import describe_data

    pairs = [("predictions", found.name + (f" of {found.entry}" if found.entry else ""))]
    pairs.append(("data", f"{found.dataset.id}. {describe_data(found.dataset)}"))
    boxes = f"; {found.boxes} boxes" if found.boxes else ""
    pairs.append(("protocol", f"{found.protocol['summary']}{boxes}"))
    pairs.append(("persons", f"{found.read:,} read, {found.kept:,} kept"))
    engine = "posebench's own" if found.engine == "own" else found.engine
    pairs.append(("engine", engine))
    return pairs + [("note", note) for note in found.notes]

"""``posebench merge``."""

from __future__ import annotations

import argparse
from pathlib import Path

from posebench.cli.eval import store
from posebench.cli.parser import RUNS, Parser, add_overwrite
from posebench.cli.terminal import progress

EXAMPLES = ("posebench merge one/parts two/parts --output runs",)
PATHS = {
    "checkpoint": "the published weights",
    "data-root": "folder with annotations/ and the images",
    "annotations": "another annotation file",
    "images": "another image folder",
}


def add_arguments(parser: Parser) -> None:
    """Add the folders, and where files lie on this machine."""
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="parts of the shares")
    for name, words in PATHS.items():
        words = f"{words}, where it is not where the shares had it"
        parser.add_argument(f"--{name}", metavar="PATH", type=Path, help=words)
    parser.add_argument(
        "--output",
        type=Path,
        default=RUNS,
        metavar="DIR",
        help=f"where the record goes (default: {RUNS})",
    )
    add_overwrite(parser, default="always")
    parser.add_argument("--save-predictions", action="store_true", help="write the predictions too")


def run(arguments: argparse.Namespace) -> int:
    """Merge, store, print."""
    from posebench import merge

    predictions = arguments.output / "predictions" if arguments.save_predictions else None
    with progress() as report:
        record = merge(
            arguments.folders,
            save_predictions=predictions,
            command=arguments.command,
            progress=report,
            checkpoint=arguments.checkpoint,
            data_root=arguments.data_root,
            annotations=arguments.annotations,
            images=arguments.images,
        )
    store(record, arguments, predictions)
    return 0

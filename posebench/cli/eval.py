"""``posebench eval``: the contract that other tools call."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from posebench.cli.launcher import board, launcher
from posebench.cli.parser import (
    RUNS,
    Parser,
    add_axes,
    add_data,
    add_launcher,
    add_model,
    add_overwrite,
    add_running,
    shared_arguments,
)
from posebench.cli.terminal import emit, print_json, progress
from posebench.types.errors import UserError
from posebench.types.faults import OnError
from posebench.types.record import Record

if TYPE_CHECKING:
    from posebench.types.request import EvalRequest

SHARES = 4

EXAMPLES = (
    "posebench eval --model demo_s --dataset synthetic",
    "posebench eval --model demo_s --dataset synthetic --no-flip --decode dark --json",
    "posebench eval --model tinypose_256x192 --dataset coco \\",
    "    --checkpoint tinypose_256x192.pdparams --data-root coco",
    "posebench eval --model lpn_50 --dataset coco --checkpoint lpn_50.pth --data-root coco \\",
    "    --boxes COCO_val2017_detections_AP_H_56_person.json --save-predictions",
)


def add_arguments(parser: Parser) -> None:
    """Add the contract's options and one for each further axis of ``Protocol``."""
    data = parser.add_argument_group("model and data")
    add_model(data)
    add_data(data)
    protocol = parser.add_argument_group(
        "protocol", "by default each claim's own; any axis can be overridden"
    )
    protocol.add_argument(
        "--protocol",
        default="claim",
        metavar="claim|common|NAME",
        help="the claims' own (default), one footing for all models, or a named one",
    )
    protocol.add_argument(
        "--boxes", metavar="gt|detector|FILE.json", help="where the persons come from"
    )
    add_axes(protocol)
    how = parser.add_argument_group("running")
    add_running(how)
    add_launcher(how)
    how.add_argument(
        "--output",
        type=Path,
        default=RUNS,
        metavar="DIR",
        help=f"where the record goes (default: {RUNS})",
    )
    how.add_argument(
        "--resume",
        action="store_true",
        help="go on with an interrupted evaluation of the same command",
    )
    how.add_argument(
        "--fetch",
        action="store_true",
        help="get the weights first where they are not at hand, as `posebench fetch` does",
    )
    how.add_argument(
        "--accept-licence",
        action="store_true",
        help="with --fetch: agree to the licence that is shown, also a non-commercial one",
    )
    how.add_argument(
        "--on-error",
        choices=get_args(OnError),
        default="fail",
        help="about images and annotations that cannot be used: list them all and stop (default), "
        "or go on and count their persons as missed",
    )
    add_overwrite(how, default="always")
    how.add_argument(
        "--shard",
        metavar="I/N",
        help="estimate only share I of N and leave it in DIR/parts for `posebench merge`",
    )
    how.add_argument(
        "--save-predictions",
        action="store_true",
        help="write the raw predictions and COCO results to DIR/predictions",
    )


def run(arguments: argparse.Namespace) -> int:
    """Evaluate, store the record, print it."""
    if arguments.fetch and arguments.checkpoint is None:
        from posebench.cli.fetch import bring_weights
        from posebench.evaluation.prepare import check_names

        check_names(_request(arguments))  # before anything is downloaded for it
        bring_weights(
            arguments.model,
            arguments.dataset,
            arguments.registry,
            accepted=arguments.accept_licence,
        )
    if arguments.shard:
        return _run_shard(arguments)
    if arguments.launcher != "local":
        return _run_elsewhere(arguments)
    from posebench import evaluate

    predictions = arguments.output / "predictions" if arguments.save_predictions else None
    parts = arguments.output / "parts"
    with progress() as report, _kept_on_interrupt(parts, "add --resume to go on"):
        record = evaluate(
            arguments.model,
            protocol=arguments.protocol,
            boxes=arguments.boxes,
            save_predictions=predictions,
            chunks=parts,
            resume=arguments.resume,
            progress=report,
            command=arguments.command,
            on_error=arguments.on_error,
            **shared_arguments(arguments),
        )
    store(record, arguments, predictions)
    return 0


def store(record: Record, arguments: argparse.Namespace, predictions: Path | None) -> None:
    """Store a record as ``--output`` and ``--overwrite`` say, and print it."""
    from posebench.cli.tables import evaluation_text
    from posebench.records.store import file_name, save, to_json

    keep = arguments.overwrite == "never"
    if keep and (arguments.output / file_name(record)).is_file():
        emit(
            "posebench: the record of an earlier run of this measurement is kept; "
            "--overwrite always replaces it.",
            error=True,
        )
    path = save(record, arguments.output, overwrite=not keep)
    if arguments.json:
        print_json(to_json(record) | {"file": str(path)})
        return
    emit(evaluation_text(record))
    emit(f"\nrecord  {path}")
    if predictions:
        emit(f"predictions  {predictions}")


def _run_elsewhere(arguments: argparse.Namespace) -> int:
    from posebench.launch.many import evaluate_all

    if arguments.save_predictions:
        raise UserError(
            "--save-predictions belongs to a run in this process.",
            "`posebench merge --save-predictions` on the folder of parts writes them.",
        )
    with board() as report:
        (found,) = evaluate_all(
            [_request(arguments)],
            launcher(arguments),
            arguments.output / "parts",
            shares=arguments.shares or SHARES,
            accept_licence=arguments.accept_licence if arguments.fetch else None,
            report=report,
            board_file=arguments.output / "progress.json",
            command=arguments.command,
        )
    if isinstance(found, str):
        raise UserError(f"{arguments.model} could not be evaluated: {found}")
    store(found, arguments, None)
    return 0


def _request(arguments: argparse.Namespace) -> EvalRequest:
    from posebench.types.request import EvalRequest

    return EvalRequest.of(
        model=arguments.model,
        protocol=arguments.protocol,
        boxes=arguments.boxes,
        on_error=arguments.on_error,
        **shared_arguments(arguments),
    )


def _run_shard(arguments: argparse.Namespace) -> int:
    from posebench.evaluation.shards import evaluate_shard, parse_shard

    shard = parse_shard(arguments.shard)
    folder = arguments.output / "parts"
    with progress() as report, _kept_on_interrupt(folder, "the same command goes on"):
        manifest = evaluate_shard(
            _request(arguments), shard, folder, command=arguments.command, progress=report
        )
    if arguments.json:
        print_json({"shard": list(shard), "file": str(manifest)})
    else:
        emit(f"share {shard[0]} of {shard[1]} is done: {manifest}")
    return 0


@contextlib.contextmanager
def _kept_on_interrupt(folder: Path, how: str) -> Iterator[None]:
    """Say after Ctrl-C that a part of the work is kept, where one is.

    Args:
        folder: Of the parts; those of other evaluations lie there too.
        how: To go on.
    """
    before = _parts(folder)
    try:
        yield
    except KeyboardInterrupt:
        if _parts(folder) - before:
            emit(f"posebench: finished parts are kept; {how}.", error=True)
        raise


def _parts(folder: Path) -> set[Path]:
    return set(folder.glob("*/*.npz"))

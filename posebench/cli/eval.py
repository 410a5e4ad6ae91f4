"""``posebench eval``: the contract that other tools call."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from posebench.cli.common import Parser, print_json
from posebench.cli.launcher import add_launcher, board, launcher
from posebench.cli.options import add_axes, add_data, add_overwrite, add_running, shared_arguments
from posebench.cli.progress import progress
from posebench.types.errors import UserError
from posebench.types.faults import OnError
from posebench.types.record import Record

if TYPE_CHECKING:
    from posebench.run.request import Request

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
    data.add_argument("--model", required=True, metavar="NAME", help="zoo/id, id or short name")
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
        default=Path("results"),
        metavar="DIR",
        help="where the record goes (default: results)",
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
    from posebench.run import evaluate

    predictions = arguments.output / "predictions" if arguments.save_predictions else None
    # Evaluators talk on stdout; with --json it belongs to the record alone.
    with contextlib.redirect_stdout(sys.stderr), progress() as report, _kept_on_interrupt():
        record = evaluate(
            arguments.model,
            protocol=arguments.protocol,
            boxes=arguments.boxes,
            save_predictions=predictions,
            parts=arguments.output / "parts",
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
    from posebench.cli.results import evaluation_text
    from posebench.records.store import file_name, save, to_json

    keep = arguments.overwrite == "never"
    if keep and (arguments.output / file_name(record)).is_file():
        print(
            "posebench: the record of an earlier run of this measurement is kept; "
            "--overwrite always replaces it.",
            file=sys.stderr,
        )
    path = save(record, arguments.output, overwrite=not keep)
    if arguments.json:
        print_json(to_json(record) | {"file": str(path)})
        return
    print(evaluation_text(record))
    print(f"\nrecord  {path}")
    if predictions:
        print(f"predictions  {predictions}")


def _run_elsewhere(arguments: argparse.Namespace) -> int:
    from posebench.launch.many import Failure, evaluate_all

    if arguments.save_predictions:
        raise UserError(
            "--save-predictions belongs to a run in this process.",
            "`posebench merge --save-predictions` on the folder of parts writes them.",
        )
    with contextlib.redirect_stdout(sys.stderr), board() as report:
        (found,) = evaluate_all(
            [_request(arguments)],
            launcher(arguments),
            arguments.output / "parts",
            shares=arguments.shares or SHARES,
            report=report,
            board_file=arguments.output / "progress.json",
            command=arguments.command,
        )
    if isinstance(found, Failure):
        raise UserError(f"{found.model} could not be evaluated: {found.error}")
    store(found, arguments, None)
    return 0


def _request(arguments: argparse.Namespace) -> Request:
    from posebench.run.request import Request

    return Request.of(
        arguments.model,
        protocol=arguments.protocol,
        boxes=arguments.boxes,
        on_error=arguments.on_error,
        **shared_arguments(arguments),
    )


def _run_shard(arguments: argparse.Namespace) -> int:
    from posebench.run.shards import evaluate_shard, parse_shard

    shard = parse_shard(arguments.shard)
    folder = arguments.output / "parts"
    with contextlib.redirect_stdout(sys.stderr), progress() as report, _kept_on_interrupt():
        manifest = evaluate_shard(
            _request(arguments), shard, folder, command=arguments.command, progress=report
        )
    if arguments.json:
        print_json({"shard": list(shard), "file": str(manifest)})
    else:
        print(f"share {shard[0]} of {shard[1]} is done: {manifest}")
    return 0


@contextlib.contextmanager
def _kept_on_interrupt() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        print("posebench: finished parts are kept; add --resume to go on.", file=sys.stderr)
        raise

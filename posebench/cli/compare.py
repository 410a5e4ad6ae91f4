"""``posebench compare``."""

from __future__ import annotations

import argparse
from pathlib import Path

from posebench.cli.parser import Parser, positive
from posebench.cli.score import add_where, what, where
from posebench.cli.tables import key_value_table, number, table
from posebench.cli.terminal import emit, print_json
from posebench.types.comparison import Comparison, Difference

EXAMPLES = (
    "posebench compare runs/demo/demo_s/synthetic/eval-demo_gt@1-cpu-0123abcd.json \\",
    "    runs/demo/demo_l/synthetic/eval-demo_gt@1-cpu-4567cdef.json",
    "posebench compare mine.json theirs.json --dataset coco --data-root coco --resamples 5000",
)


def add_arguments(parser: Parser) -> None:
    """Add the two files, their data, and how many draws."""
    for name, words in (
        ("first", "a record with saved predictions, a .npz or a results file"),
        ("second", "likewise; its scores minus the first's are the differences"),
    ):
        parser.add_argument(name, metavar=name.upper(), type=Path, help=words)
    add_where(parser)
    how = parser.add_argument_group("draws of images, the same for both")
    how.add_argument("--resamples", type=positive, default=1000, metavar="N", help="(default 1000)")
    how.add_argument("--seed", type=int, default=0, metavar="N", help="(default: 0)")
    how.add_argument("--metric", metavar="NAME", action="append", help="only these (repeatable)")
    how.add_argument(
        "--force", action="store_true", help="compare what was measured on other data or boxes too"
    )


def run(arguments: argparse.Namespace) -> int:
    """Compare, print."""
    from posebench import compare

    found = compare(
        arguments.first,
        arguments.second,
        resamples=arguments.resamples,
        seed=arguments.seed,
        force=arguments.force,
        metrics=tuple(arguments.metric or ()),
        **where(arguments),
    )
    print_json(found.to_json()) if arguments.json else emit(text(found))
    return 0


def text(found: Comparison) -> str:
    """The sentence, what was compared, and every metric."""
    head = ("metric", "first", "second", "difference", "95 % interval", "p")
    rows = [_cells(each) for each in found.differences if _printed(each.metric)]
    pairs = [(f"{side}: {k}" if k == "predictions" else k, v)
             for side, scored in (("first", found.first), ("second", found.second))
             for k, v in what(scored)]  # fmt: skip
    pairs += [("overlooked", words) for words in found.forced]
    draws = f"{found.resamples} draws of images, the same for both; seed {found.seed}"
    return "\n\n".join(
        (
            found.sentence(),
            key_value_table(pairs),
            table(head, rows, right=head[1:4] + head[5:]),
            draws,
        )
    )


def _printed(metric: str) -> bool:
    from posebench.records.formatting import is_joint_metric

    return not is_joint_metric(metric)


def _cells(each: Difference) -> tuple[str, ...]:
    low, high = each.interval
    return (
        each.metric,
        number(each.first),
        number(each.second),
        number(each.difference, "+"),
        f"{low:+.2f} to {high:+.2f}",
        f"{each.p:.2g}",
    )

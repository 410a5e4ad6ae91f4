"""``posebench explain``."""

from __future__ import annotations

import argparse
from pathlib import Path

from posebench.cli.parser import (
    Parser,
    add_axes,
    add_data,
    add_model,
    add_running,
    shared_arguments,
)
from posebench.cli.tables import key_value_table, number, table
from posebench.cli.terminal import emit, print_json, progress
from posebench.types.explanation import Explanation

EXAMPLES = (
    "posebench explain demo_s --limit 60",
    "posebench explain tinypose_256x192 --dataset coco --checkpoint tinypose_256x192.pdparams \\",
    "    --data-root coco --protocol tinypose_gt --inverse udp",
)
SHOWN = 12  # rows of the grid on the terminal; --json has all


def add_arguments(parser: Parser) -> None:
    """Add model, data, the other protocol and its overrides."""
    data = parser.add_argument_group("model and data")
    add_model(data)
    add_data(data)
    data.add_argument("--metric", metavar="NAME", help="(default: the primary claim's)")
    other = parser.add_argument_group("the other protocol", "what the claim's is compared with")
    other.add_argument(
        "--protocol", default="common", metavar="common|NAME", help="(default: common)"
    )
    other.add_argument(
        "--boxes", metavar="gt|detector|FILE.json", help="where its persons come from"
    )
    add_axes(other)
    how = parser.add_argument_group("running")
    add_running(how)
    how.add_argument("--html", metavar="FILE", type=Path, help="write the explanation as a page")


def run(arguments: argparse.Namespace) -> int:
    """Explain, print."""
    from posebench import explain

    with progress() as report:
        found = explain(
            arguments.model,
            metric=arguments.metric,
            protocol=arguments.protocol,
            boxes=arguments.boxes,
            progress=report,
            **shared_arguments(arguments),
        )
    if arguments.html:
        from posebench.site.explanation import write_explanation

        write_explanation(found, arguments.html)
    print_json(found.to_json()) if arguments.json else emit(text(found))
    return 0


def text(found: Explanation) -> str:
    """The sentence, the shares and the nearest combinations."""
    shares = [
        (share.axis, share.start, share.end, number(share.value, "+")) for share in found.shares
    ]
    first = found.grid[0].choices
    varied = [axis for axis in first if len({cell.choices[axis] for cell in found.grid}) > 1]
    same = ", ".join(words for axis, words in first.items() if axis not in varied)
    head = (*varied, found.metric, "from the claim")
    rows = [
        (
            *(cell.choices[axis] for axis in varied),
            number(cell.measured),
            number(cell.distance, "+"),
        )
        for cell in found.grid[:SHOWN]
    ]
    parts = [
        found.sentence(),
        key_value_table(
            [("not met", axis) for axis in found.unmet] + [("note", n) for n in found.notes]
        ),
        table(("axis", "claim's protocol", "the other", "points"), shares, right=("points",)),
        f"{len(found.grid)} combinations, nearest to the claim first (all with {same}):",
        table(head, rows, right=head[-2:]),
    ]
    return "\n\n".join(part for part in parts if part)

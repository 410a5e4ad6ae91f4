"""``posebench demo``."""

from __future__ import annotations

import argparse
from pathlib import Path

from posebench.cli.parser import LIMIT, Parser, positive
from posebench.cli.tables import claims_table, speed_table
from posebench.cli.terminal import emit, print_json, progress

EXAMPLES = (
    "posebench demo",
    "posebench demo --all-tasks",
    "posebench demo --output /tmp/demo --json",
)


SHOWN = ("AP", "PCKh@0.5", "fullbody/AP", "wholebody/AP")


def add_arguments(parser: Parser) -> None:
    """Add the output folder."""
    parser.add_argument(
        "--output",
        metavar="DIR",
        type=Path,
        default=Path("reports/demo"),
        help="where index.html and records/ go (default: reports/demo)",
    )
    parser.add_argument(
        "--all-tasks",
        action="store_true",
        help="also MPII's, Halpe's and COCO-WholeBody's keypoints, not COCO's alone",
    )
    parser.add_argument(
        "--limit", metavar="N", type=positive, help=f"{LIMIT}; no claim is judged then"
    )
    parser.add_argument("--threads", type=positive, metavar="N", help="threads that read and crop")


def run(arguments: argparse.Namespace) -> int:
    """Evaluate, time, store, write the page.

    Returns:
        1 if one of our own claims was judged, on the whole dataset, and not reproduced.
    """
    from posebench import demo
    from posebench.records.store import save_all, to_json
    from posebench.records.verdict import REPRODUCED, is_neutral
    from posebench.site.pages import write_site

    with progress(lines=True) as report:
        records = demo(
            all_tasks=arguments.all_tasks,
            limit=arguments.limit,
            threads=arguments.threads,
            registry=arguments.registry,
            progress=report,
            command=arguments.command,
        )
    save_all(records, arguments.output / "records")
    page = write_site(records, arguments.output)
    results = [result for record in records for result in record.claims]
    judged = [result for result in results if not is_neutral(result.verdict)]
    broken = [result for result in judged if result.verdict != REPRODUCED]
    if arguments.json:
        content = [to_json(record) for record in records]
        held = not broken if judged else None
        print_json({"page": str(page), "reproduced": held, "records": content})
    else:
        # One number speaks for each protocol; the page shows every metric.
        emit(claims_table(records, metrics=SHOWN))
        emit(f"\n{_count(len(judged) - len(broken), len(judged))}")
        emit(f"\n{speed_table(records)}\n\nThe page: {page}")
    if broken:
        emit("posebench: not every claim of the demo models was reproduced.", error=True)
    return 1 if broken else 0


def _count(held: int, judged: int) -> str:
    if not judged:
        return "No claim was judged: a subset neither reproduces one nor differs from it."
    return f"{held} of {judged} claims hold."

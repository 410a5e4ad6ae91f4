"""``posebench diagnose``."""

from __future__ import annotations

import argparse

from posebench.cli.parser import Parser
from posebench.cli.score import add_predictions, add_where, where
from posebench.cli.tables import key_value_table, number, table
from posebench.cli.terminal import emit, print_json
from posebench.types.diagnosis import Diagnosis, JointErrors, PartDiagnosis

EXAMPLES = (
    "posebench diagnose runs/demo/demo_s/synthetic/eval-demo_gt@1-cpu-0123abcd.json",
    "posebench diagnose other_tool.json --dataset coco --data-root coco",
)
KINDS = ("good", "jitter", "inversion", "swap", "miss")
MOST_JOINTS = 26  # joints listed on the terminal; --json has all


def add_arguments(parser: Parser) -> None:
    """Add the file and its data."""
    add_predictions(parser)
    add_where(parser)


def run(arguments: argparse.Namespace) -> int:
    """Diagnose, print."""
    from posebench import diagnose

    found = diagnose(arguments.predictions, **where(arguments))
    print_json(found.to_json()) if arguments.json else emit(text(found))
    return 0


def text(found: Diagnosis) -> str:
    """The sentence, the counts, what mending brings, and errors by joint and group."""
    data = found.dataset
    counts = [
        ("predictions", found.name + (f" of {found.entry}" if found.entry else "")),
        ("data", f"{data.id}, {data.images:,} images with {found.persons:,} persons"),
        ("found", f"{found.found:,} persons; {found.false_negatives:,} without a detection"),
        (
            "detections",
            f"{found.detections:,}: {found.background:,} of nobody, {found.duplicates:,} a second "
            "time of somebody",
        ),
        ("ranking", f"{found.ranking:,} persons whose best detection is not the highest-scored"),
    ]
    return "\n\n".join(
        (
            found.sentence(),
            key_value_table(counts),
            *(_mends(part) for part in found.parts),
            *(
                [key_value_table([("note", note) for note in found.notes()])]
                if found.notes()
                else []
            ),
            _joints(found),
            _groups(found),
        )
    )


def _mends(part: PartDiagnosis) -> str:
    head = (part.part or "error", "count", "AP alone", "AP50 alone", "AP so far", "AP50 so far")
    rows = [("as measured", "", "", "", number(part.ap), number(part.ap50))]
    rows += [
        (
            correction.error,
            f"{correction.count:,}",
            number(correction.alone, "+"),
            number(correction.alone_50, "+"),
            number(correction.together),
            number(correction.together_50),
        )
        for correction in part.corrections
    ]
    return table(head, rows, right=head[1:])


def _joints(found: Diagnosis) -> str:
    every = {part.part: part.joints for part in found.parts}
    if len(found.joint_errors) <= MOST_JOINTS:
        every = found.joint_errors | {"all": found.parts[-1].joints}
    head = ("joint, percent of", "judged", *KINDS)
    return table(head, [(name, *_shares(joints)) for name, joints in every.items()], right=head[1:])


def _groups(found: Diagnosis) -> str:
    head = ("persons by", "", "persons", "missed", "AR", *KINDS)
    rows = [
        (
            group.by,
            group.name,
            f"{group.persons:,}",
            f"{group.missed:,}",
            number(group.recall),
            *_shares(group.joints)[1:],
        )
        for group in found.groups
    ]
    return table(head, rows, right=head[2:])


def _shares(joints: JointErrors) -> tuple[str, ...]:
    """How many were judged, and the percentage of each kind."""
    total = max(joints.judged, 1)
    shares = (100 * getattr(joints, kind) / total for kind in KINDS)
    return (f"{joints.judged:,}", *(f"{share:.1f}" if joints.judged else "-" for share in shares))

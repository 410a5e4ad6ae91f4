"""``posebench convert``."""

from __future__ import annotations

import argparse
from pathlib import Path

from posebench.cli.parser import Parser, add_model
from posebench.cli.tables import key_value_table
from posebench.cli.terminal import emit, print_json

EXAMPLES = (
    "posebench convert tinypose_256x192 --checkpoint tinypose_256x192.pdparams \\",
    "    --output tinypose_256x192.safetensors",
)


def add_arguments(parser: Parser) -> None:
    """Add model and files."""
    add_model(parser)
    parser.add_argument("--dataset", help="disambiguates a short name")
    parser.add_argument(
        "--checkpoint", metavar="FILE", type=Path, required=True, help="the published weights"
    )
    parser.add_argument(
        "--output", metavar="FILE", type=Path, required=True, help="the copy, *.safetensors"
    )


def run(arguments: argparse.Namespace) -> int:
    """Write the copy and say what it is."""
    from posebench import convert

    copy = convert(
        arguments.model,
        arguments.checkpoint,
        arguments.output,
        dataset=arguments.dataset,
        registry=arguments.registry,
    )
    origin = copy.origin
    content = {
        "file": str(copy.path),
        "sha256": copy.sha256,
        "tensors": copy.tensors,
        "zoo": origin.zoo,
        "model": origin.model,
        "source": origin.name,
        "source_sha256": origin.sha256,
        "notes": list(origin.notes),
    }
    if arguments.json:
        print_json(content)
    else:
        lines = {name: value for name, value in content.items() if name != "notes"}
        pairs = [(name.replace("_", " "), str(value)) for name, value in lines.items()]
        emit(key_value_table([*pairs, *(("note", note) for note in origin.notes)]))
    return 0

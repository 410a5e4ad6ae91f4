"""``posebench cite MODEL``."""

from __future__ import annotations

import argparse

from posebench.cli.parser import Parser, add_model
from posebench.cli.terminal import emit, print_json

EXAMPLES = (
    "posebench cite tinypose_256x192",
    "posebench cite lpn_50 --dataset coco > lpn.bib",
)


def add_arguments(parser: Parser) -> None:
    """Add the model's name."""
    add_model(parser)
    parser.add_argument("--dataset", help="disambiguates a short name")


def run(arguments: argparse.Namespace) -> int:
    """Print BibTeX."""
    from posebench import find_entry
    from posebench.registry import cite, load_registry

    entry = find_entry(arguments.model, arguments.dataset, registry=arguments.registry)
    text = cite(entry, load_registry(tuple(arguments.registry)))
    if arguments.json:
        print_json({"key": entry.key, "licence": entry.licence, "bibtex": text})
    else:
        emit(text.rstrip())
    return 0

"""``posebench cite MODEL``."""

from __future__ import annotations

import argparse

from posebench.cli.common import Parser, print_json

EXAMPLES = (
    "posebench cite tinypose_256x192",
    "posebench cite lpn_50 --dataset coco > lpn.bib",
)


def add_arguments(parser: Parser) -> None:
    """Add the model's name."""
    parser.add_argument("model", metavar="MODEL", help="zoo/id, id, or a short name")
    parser.add_argument("--dataset", help="tells models of one short name apart")


def run(arguments: argparse.Namespace) -> int:
    """Print BibTeX."""
    from posebench.registry import cite, load_registry
    from posebench.run import find_entry

    entry = find_entry(arguments.model, arguments.dataset, registry=arguments.registry)
    text = cite(entry, load_registry(tuple(arguments.registry)))
    if arguments.json:
        print_json({"key": entry.key, "licence": entry.licence, "bibtex": text})
    else:
        print(text.rstrip())
    return 0

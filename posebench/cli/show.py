"""``posebench show MODEL``."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from posebench.cli.parser import Parser, add_model
from posebench.cli.tables import key_value_table, table
from posebench.cli.terminal import emit, print_json

if TYPE_CHECKING:
    from posebench.registry import Registry
    from posebench.timing.complexity import Complexity
    from posebench.types.entry import Claim, Entry

EXAMPLES = (
    "posebench show tinypose_256x192",
    "posebench show lpn_50 --dataset mpii",
    "posebench show lpn_50 --dataset coco --json",
)


def add_arguments(parser: Parser) -> None:
    """Add the model's name, and whether its network is counted."""
    add_model(parser)
    parser.add_argument("--dataset", help="disambiguates a short name")
    parser.add_argument(
        "--complexity",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="count parameters and operations of the network (default; takes some seconds)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print one registry row with its protocols."""
    from posebench import find_entry
    from posebench.registry import load_registry

    entry = find_entry(arguments.model, arguments.dataset, registry=arguments.registry)
    registry = load_registry(tuple(arguments.registry))
    counted = _count(entry) if arguments.complexity else None
    if arguments.json:
        print_json(_content(entry, registry, counted))
    else:
        emit(_text(entry, registry, counted))
    return 0


def _count(entry: Entry) -> Complexity | None:
    """Count the network; None without torch, or where this version does not have it."""
    from posebench.networks import NETWORKS

    if find_spec("torch") is None or entry.network.name not in NETWORKS:
        return None
    from posebench.timing.complexity import complexity

    return complexity(entry)


def _protocol_keys(entry: Entry) -> list[str]:
    return list(dict.fromkeys(claim.protocol for claim in entry.claims if claim.protocol))


def _content(entry: Entry, registry: Registry, counted: Complexity | None) -> dict[str, Any]:
    protocols = {key: registry.protocol(key) for key in _protocol_keys(entry)}
    return {
        "key": entry.key,
        **entry.model_dump(mode="json"),
        "complexity": counted and asdict(counted),
        "protocols": {
            key: protocol.model_dump(mode="json") | {"hash": protocol.hash}
            for key, protocol in protocols.items()
        },
    }


def _text(entry: Entry, registry: Registry, counted: Complexity | None) -> str:
    from posebench.records.formatting import describe_protocol

    taken, checkpoint = entry.input, entry.checkpoint
    height, width = taken.size
    head = key_value_table(
        [
            ("model", f"{entry.key}  ({entry.title})"),
            ("status", entry.status),
            ("dataset", entry.dataset),
            ("network", _network(entry)),
            *_complexity(entry, counted),
            ("input", f"{height}x{width} {taken.colour}, crop {taken.crop}, {taken.keypoints}"),
            (
                "weights",
                checkpoint.id + (f" from {checkpoint.location}" if checkpoint.location else ""),
            ),
            ("file", checkpoint.file_name or ""),
            ("sha256", checkpoint.sha256 or ""),
            ("licence", entry.licence),
            ("homepage", entry.homepage),
            ("registry", entry.origin),
            ("note", entry.note),
        ]
    )
    columns = ("claim", "published", "protocol", "evidence", "source", "note")
    claims = table(
        columns,
        [_claim(claim) for claim in entry.claims],
        right=("published",),
        drop=("evidence", "note", "source"),
        cut=("note",),
    )
    protocols = key_value_table(
        [(key, describe_protocol(registry.protocol(key))) for key in _protocol_keys(entry)]
        or [("protocols", "none: nothing was published that an evaluation could confirm")]
    )
    run_it = f"posebench eval --model {entry.key} --dataset {entry.dataset}"
    spec = registry.datasets.get(entry.dataset)
    if spec is None or spec.files:
        run_it += " --data-root DIR"
    if entry.status == "needs checkpoint":
        run_it += " --checkpoint FILE"
    last = (
        f"\n\nevaluate it:\n  {run_it}" if entry.status in ("runnable", "needs checkpoint") else ""
    )
    return f"{head}\n\n{claims}\n\n{protocols}{last}"


def _complexity(entry: Entry, counted: Complexity | None) -> list[tuple[str, str]]:
    """Say what the network costs, beside what the page says."""
    if counted is None:
        return []
    raw = {claim.metric: claim.raw for claim in reversed(entry.claims)}
    params, macs = raw.get("params"), raw.get("macs")
    parameters = f"{counted.parameters:,}" + (f"; the page says {params} M" if params else "")
    height, width = counted.input_size
    operations = (
        f"{counted.macs / 1e9:.3f} G multiply-accumulates of convolution and linear layers "
        f"at {height}x{width}"
    )
    if macs:
        figure = counted.published("macs")
        operations += (
            f"; the page says {macs} G, and its way of counting gives {figure:.2f} "
            "(G is 2^30, transposed convolutions at their output's size)"
        )
    return [("parameters", parameters), ("operations", operations)]


def _network(entry: Entry) -> str:
    arguments = ", ".join(f"{name} {value}" for name, value in entry.network.arguments.items())
    return f"{entry.network.name} ({arguments})" if arguments else entry.network.name


def _claim(claim: Claim) -> tuple[str, ...]:
    unit = {"percent": "%", "fraction": ""}.get(claim.unit, claim.unit)
    where = claim.source.page + (f":{claim.source.line}" if claim.source.line else "")
    notes = [claim.published_as and f"published as {claim.published_as}", claim.hardware]
    notes += [claim.misprint and f"a misprint of {claim.misprint}, never judged"]
    return (
        claim.metric,
        f"{claim.raw} {unit}".rstrip(),
        claim.protocol or "-",
        claim.evidence,
        where,
        "; ".join(note for note in (*notes, claim.scope, claim.note) if note),
    )

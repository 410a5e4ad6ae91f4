"""How long a cluster takes for the whole registry, what it costs, and what its network carries.

    python tools/cluster_size.py --records results --hardware "RTX 3090" --price 0.5

The model, for G accelerators: every row's persons are cut into shares of about the same length;
a share takes ``persons / rate + fixed``; places take shares in the order in which
``posebench.launch`` hands them out; the last row's shares are joined at the end. Rates are measured
ones where ``--records`` holds timings of such an accelerator, else what the row's page says for
it, else its multiply-accumulates over the rate that the known rows reach, else (networks that
are not built) those of an average network of the same input; an estimated rate is never above
the highest known one, since reading and cropping bound small networks. docs/cluster.md shows the
result.
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import median

from posebench.keypoints import keypoint_set
from posebench.networks import NETWORKS
from posebench.records.store import load_records
from posebench.registry import Registry, load_registry
from posebench.timing.complexity import complexity
from posebench.timing.published import published_speeds
from posebench.types.entry import Entry
from posebench.types.errors import UserError

MEASURED, PUBLISHED, FROM_MACS, FROM_PIXELS = "measured", "published", "from MACs", "from pixels"
# Detected persons of val2017, which most rows' claims are made with; MPII's validation set has
# 2,958 annotated ones (registry/datasets.yaml, HRNet's README).
PERSONS, OTHER_PERSONS = 104_125, {"mpii": 2958}
DRAWN = "synthetic"
# Images and annotations of val2017 (registry/datasets.yaml), fetched once a node.
DATASET_BYTES = 815_585_330 + 252_907_541
FLOAT = 4  # bytes of a weight
WEIGHTS = 40e6  # parameters where nobody counted them: HRNet-W32 has 28.5e6, W48 63.6e6
HOUR, GIB = 3600.0, 2**30


@dataclass(frozen=True)
class Row:
    """A row of the registry as work.

    Attributes:
        persons: To estimate.
        rate: Persons a second.
        source: Where the rate comes from.
        weights: Bytes of the file.
        keypoints: Of a person.
    """

    key: str
    persons: int
    rate: float
    source: str
    weights: float
    keypoints: int = 17


@dataclass(frozen=True)
class Cluster:
    """What is sized.

    Attributes:
        gpus: Accelerators.
        per_node: Of them on a node.
        share: Seconds that a share is aimed at.
        fixed: Seconds that a share takes beside its persons.
        joining: Seconds that joining and scoring a row take, on processors.
        part: Bytes of predictions a keypoint, of one way to decode.
    """

    gpus: int
    per_node: int = 8
    share: float = 120.0
    fixed: float = 20.0
    joining: float = 120.0
    part: float = 16.0


def makespan(pieces: Iterable[float], places: int) -> float:
    """Return when the last piece is done if each free place takes the next piece, seconds."""
    free = [0.0] * places
    for seconds in pieces:
        heapq.heapreplace(free, free[0] + seconds)
    return max(free)


def size(rows: Sequence[Row], cluster: Cluster) -> dict[str, float]:
    """Return what a cluster takes for all rows.

    Returns:
        ``gpus``; ``nodes``; ``hours`` from the first task to the last record; ``gpu_hours`` that
        are paid for, idle ones too; ``busy``, the part of them that is spent on persons;
        ``from_outside``, bytes fetched from publishers; ``shared``, bytes written to and read from
        shared storage.
    """
    nodes = math.ceil(cluster.gpus / cluster.per_node)
    work = [row.persons / row.rate for row in rows]
    shares = [max(1, round(seconds / cluster.share)) for seconds in work]
    pieces = (
        seconds / count + cluster.fixed
        for seconds, count in zip(work, shares, strict=True)
        for _ in range(count)
    )
    seconds = makespan(pieces, cluster.gpus) + cluster.joining
    # whichever nodes get a share of a row fetch its weights
    weights = (r.weights * min(n, nodes) for r, n in zip(rows, shares, strict=True))
    return {
        "gpus": cluster.gpus,
        "nodes": nodes,
        "hours": seconds / HOUR,
        "gpu_hours": seconds / HOUR * cluster.gpus,
        "busy": sum(work) / (seconds * cluster.gpus),
        "from_outside": sum(weights) + DATASET_BYTES * nodes,
        "shared": 2 * cluster.part * sum(row.persons * row.keypoints for row in rows),
    }


def rows_of(
    registry: Registry,
    hardware: str,
    records: Path | None = None,
    count_macs: Callable[[Entry], float] = lambda entry: float(complexity(entry).macs),
) -> list[Row]:
    """Return every row that is not drawn, each with the best rate that is known.

    Args:
        registry: Rows.
        hardware: Words in the accelerator's name.
        records: Folder with measured timings.
        count_macs: Multiply-accumulates of a row's network for one image.

    Raises:
        UserError: Nothing is known about such an accelerator.
    """
    entries = [e for e in registry.entries if not e.dataset.startswith(DRAWN)]
    known = _published(entries, hardware) | _measured(records, hardware)
    macs = {e.key: count_macs(e) for e in entries if e.network.name in NETWORKS}
    reached = [rate * macs[key] for key, (rate, _) in known.items() if key in macs]
    if not reached:
        raise UserError(
            f"No speed on {hardware!r} is measured or published.",
            "`posebench speed --all --gpu 0` measures; then give --records.",
        )
    by_pixel = median(macs[e.key] / math.prod(e.input.size) for e in entries if e.key in macs)
    highest = max(rate for rate, _ in known.values())

    def row(entry: Entry) -> Row:
        cost = macs.get(entry.key, by_pixel * math.prod(entry.input.size))
        guess = (
            min(median(reached) / cost, highest),
            FROM_MACS if entry.key in macs else FROM_PIXELS,
        )
        return Row(
            entry.key,
            OTHER_PERSONS.get(entry.dataset, PERSONS),
            *known.get(entry.key, guess),
            entry.checkpoint.size or FLOAT * WEIGHTS,
            len(keypoint_set(entry.input.keypoints).names),
        )

    return list(map(row, entries))


def _published(entries: Sequence[Entry], hardware: str) -> dict[str, tuple[float, str]]:
    return {
        entry.key: (speed.persons_per_second, PUBLISHED)
        for entry in entries
        for speed in published_speeds(entry)
        if hardware.lower() in speed.hardware.lower()
    }


def _measured(records: Path | None, hardware: str) -> dict[str, tuple[float, str]]:
    """End to end where that was timed, since an evaluation does all of it."""
    found = {}
    for record in load_records(records) if records else []:
        timings = record.end_to_end or record.timings
        if record.cell and timings and hardware.lower() in record.cell.hardware.lower():
            found[record.entry.key] = timings.persons_per_second, MEASURED
    return found


def table(sizes: Sequence[dict[str, float]], price: float) -> str:
    """Lay out the sizes as a page's table."""
    lines = [
        "| accelerators | nodes | hours | accelerator hours | at "
        f"{price:.2f} an hour | spent on persons | from publishers | shared storage |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        "| {gpus} | {nodes} | {hours:,.1f} | {gpu_hours:,.1f} | {cost:,.0f} | {busy:.0%} "
        "| {outside:,.0f} GiB | {stored:,.1f} GiB |".format(
            cost=s["gpu_hours"] * price,
            outside=s["from_outside"] / GIB,
            stored=s["shared"] / GIB,
            **s,
        )
        for s in sizes
    ]
    return "\n".join(lines)


def summary(rows: Sequence[Row]) -> str:
    """Say in one line what the rates rest on."""
    sources = Counter(row.source for row in rows)
    words = ", ".join(f"{count} {source}" for source, count in sources.most_common())
    rates = sorted(row.rate for row in rows)
    return (
        f"{len(rows)} rows, {sum(row.persons for row in rows):,} persons; rates: {words}; "
        f"median {median(rates):,.0f} persons/s, from {rates[0]:,.0f} to {rates[-1]:,.0f}."
    )


def main() -> None:
    """Size, and print a page's table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=Path, help="folder with timings, of `posebench speed`")
    parser.add_argument("--hardware", default="RTX 3090", help="words in its name")
    parser.add_argument("--price", type=float, default=0.5, help="of an accelerator for an hour")
    parser.add_argument("--gpus", type=int, nargs="+", default=[1, 8, 64])
    more = fields(Cluster)[1:]
    for field in more:
        option = f"--{field.name.replace('_', '-')}"
        parser.add_argument(option, type=type(field.default), default=field.default)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    rows = rows_of(load_registry(), given.hardware, given.records)
    how = {field.name: getattr(given, field.name) for field in more}
    sizes = [size(rows, Cluster(gpus, **how)) for gpus in given.gpus]
    if given.json:
        print(json.dumps({"rows": [asdict(row) for row in rows], "sizes": sizes}, indent=1))
    else:
        print(f"{summary(rows)}\n\n{table(sizes, given.price)}")


if __name__ == "__main__":
    main()

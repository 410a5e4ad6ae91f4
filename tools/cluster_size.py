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
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from posebench.keypoints import keypoint_set
from posebench.networks import NETWORKS
from posebench.records.store import load_records
from posebench.registry import Registry, load_registry
from posebench.speed.complexity import complexity
from posebench.speed.published import published_speeds
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
class Piece:
    """Work that one place does without a break.

    Attributes:
        seconds: Of estimating.
        fixed: Of opening files and of handing out, once a piece.
    """

    seconds: float
    fixed: float


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

    @property
    def nodes(self) -> int:
        """Machines."""
        return math.ceil(self.gpus / self.per_node)


@dataclass(frozen=True)
class Size:
    """What the model says.

    Attributes:
        gpus: Accelerators.
        hours: From the first task to the last record.
        gpu_hours: That are paid for, idle ones too.
        busy: Part of them that is spent on persons.
        from_outside: Bytes fetched from publishers.
        shared: Bytes written to and read from shared storage.
    """

    gpus: int
    hours: float
    gpu_hours: float
    busy: float
    from_outside: float
    shared: float


def makespan(pieces: Sequence[Piece], places: int) -> float:
    """Return when the last piece is done if each free place takes the next piece, seconds."""
    free = [0.0] * places
    for piece in pieces:
        heapq.heapreplace(free, free[0] + piece.seconds + piece.fixed)
    return max(free)


def pieces_of(row: Row, cluster: Cluster) -> list[Piece]:
    """Cut a row into equal shares of about the length that is aimed at."""
    seconds = row.persons / row.rate
    shares = max(1, round(seconds / cluster.share))
    return [Piece(seconds / shares, cluster.fixed)] * shares


def size(rows: Sequence[Row], cluster: Cluster) -> Size:
    """Return what a cluster takes for all rows."""
    pieces = [pieces_of(row, cluster) for row in rows]
    seconds = makespan([p for some in pieces for p in some], cluster.gpus) + cluster.joining
    working = sum(p.seconds for some in pieces for p in some)
    # whichever nodes get a share of a row fetch its weights
    copies = sum(
        r.weights * min(len(some), cluster.nodes) for r, some in zip(rows, pieces, strict=True)
    )
    hours = seconds / HOUR
    return Size(
        gpus=cluster.gpus,
        hours=hours,
        gpu_hours=hours * cluster.gpus,
        busy=working / (seconds * cluster.gpus),
        from_outside=copies + DATASET_BYTES * cluster.nodes,
        shared=2
        * cluster.part
        * sum(row.persons * row.keypoints for row in rows),  # written, then read
    )


def rows_of(
    registry: Registry,
    hardware: str,
    records: Path | None = None,
    count_macs: Callable[[Entry], float] | None = None,
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
    known = {key: (rate, PUBLISHED) for key, rate in _published(entries, hardware).items()}
    known |= {key: (rate, MEASURED) for key, rate in _measured(records, hardware).items()}
    count = count_macs or counted
    macs = {e.key: count(e) for e in entries if e.network.name in NETWORKS}
    reached = [rate * macs[key] for key, (rate, _) in known.items() if key in macs]
    if not reached:
        raise UserError(
            f"No speed on {hardware!r} is measured or published.",
            "`posebench speed --all --gpu 0` measures; then give --records.",
        )
    by_pixel = median(macs[e.key] / _pixels(e) for e in entries if e.key in macs)
    highest = max(rate for rate, _ in known.values())
    found = []
    for entry in entries:
        rate, source = known.get(entry.key) or _estimated(entry, macs, by_pixel, median(reached))
        if entry.key not in known:
            rate = min(rate, highest)
        weights = entry.checkpoint.size or FLOAT * WEIGHTS
        persons = OTHER_PERSONS.get(entry.dataset, PERSONS)
        joints = len(keypoint_set(entry.input.keypoints).names)
        found.append(Row(entry.key, persons, rate, source, weights, joints))
    return found


def counted(entry: Entry) -> float:
    """Return a row's multiply-accumulates for one image."""
    return float(complexity(entry).macs)


def _estimated(
    entry: Entry, macs: dict[str, float], by_pixel: float, reached: float
) -> tuple[float, str]:
    if entry.key in macs:
        return reached / macs[entry.key], FROM_MACS
    return reached / (by_pixel * _pixels(entry)), FROM_PIXELS


def _pixels(entry: Entry) -> int:
    height, width = entry.input.size
    return height * width


def _published(entries: Sequence[Entry], hardware: str) -> dict[str, float]:
    return {
        entry.key: speed.persons_per_second
        for entry in entries
        for speed in published_speeds(entry)
        if hardware.lower() in speed.hardware.lower()
    }


def _measured(records: Path | None, hardware: str) -> dict[str, float]:
    """The whole way where it was timed, since an evaluation goes it."""
    found = {}
    for record in load_records(records) if records else []:
        timings = record.end_to_end or record.timings
        if record.cell and timings and hardware.lower() in record.cell.hardware.lower():
            found[record.entry.key] = timings.persons_per_second
    return found


def table(rows: Sequence[Row], clusters: Sequence[Cluster], price: float) -> str:
    """Lay out the sizes as a page's table."""
    lines = [
        "| accelerators | nodes | hours | accelerator hours | at "
        f"{price:.2f} an hour | spent on persons | from publishers | shared storage |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for cluster in clusters:
        s = size(rows, cluster)
        cells = (
            f"{s.gpus}", f"{cluster.nodes}", f"{s.hours:,.1f}", f"{s.gpu_hours:,.1f}",
            f"{s.gpu_hours * price:,.0f}", f"{s.busy:.0%}", f"{s.from_outside / GIB:,.0f} GiB",
            f"{s.shared / GIB:,.1f} GiB",
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
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
    for name in ("per_node", "share", "fixed", "joining", "part"):
        default = getattr(Cluster(1), name)
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=type(default), default=default)
    parser.add_argument("--json", action="store_true")
    words = parser.parse_args()
    how = {k: getattr(words, k) for k in ("per_node", "share", "fixed", "joining", "part")}
    clusters = [Cluster(gpus, **how) for gpus in words.gpus]
    rows = rows_of(load_registry(), words.hardware, words.records)
    if words.json:
        sizes = [asdict(size(rows, cluster)) for cluster in clusters]
        print(json.dumps({"rows": [asdict(row) for row in rows], "sizes": sizes}, indent=1))
    else:
        print(f"{summary(rows)}\n\n{table(rows, clusters, words.price)}")


if __name__ == "__main__":
    main()

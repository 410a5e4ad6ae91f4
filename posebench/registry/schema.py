"""What stands in the files of ``registry/``: the shapes of zoo files and of their rows."""

from __future__ import annotations

from pydantic import Field

from posebench.types.base import Frozen
from posebench.types.entry import (
    Bytes,
    Container,
    Count,
    Evidence,
    Id,
    InputSpec,
    Location,
    NetworkSpec,
    Repair,
    Sha1Prefix,
    Sha256,
    Sha256Prefix,
    Unit,
    WebAddress,
)
from posebench.types.paths import RelativePath


class PageSpec(Frozen):
    """A published page: where it stands, and at which commit it was read."""

    repository: str
    path: RelativePath
    commit: str | None = None
    note: str = ""


class ColumnSpec(Frozen):
    """One result column of a published table.

    Attributes:
        column: Position in the page's table, from 1.
        metric: Metric name; None when ``metrics`` is given.
        metrics: Metric names of the parts of a cell such as ``71.1/91.3/78.7``.
        protocol: Protocol of the column's accuracy numbers; the table's if not given.
    """

    column: Count
    metric: str | None = None
    metrics: tuple[str, ...] = ()
    unit: Unit = "percent"
    protocol: str | None = None
    evidence: Evidence | None = None
    hardware: str | None = None
    scope: str | None = None
    published_as: str | None = None
    note: str = ""


class TableSpec(Frozen):
    """A published table: its result columns, in the order in which rows give their cells.

    Attributes:
        page: Name of the page, a key of the zoo's ``pages``; None where several pages have this
            table and every line names its own.
        protocol: Protocol of accuracy columns that name none.
        evidence: Of the accuracy columns that say nothing else; the rule for it stands at
            ``posebench.types.entry.Claim``.
    """

    page: str | None = None
    protocol: str | None = None
    evidence: Evidence = "stated"
    hardware: str | None = None
    scope: str | None = None
    columns: tuple[ColumnSpec, ...]


class ClaimRow(Frozen):
    """The numbers of one table line, or one number that stands apart.

    Attributes:
        table: Table of the cells, a key of the zoo's ``tables``.
        line: Line of the page, from 1.
        cells: The page's own characters, one cell for each column of the table, separated by
            spaces; ``-`` where nothing was published.
        protocol: Overrides the table's.
        page: Page of a table line, the table's if not given; or of a single number, which
            ``column``, ``part``, ``raw`` and ``metric`` describe.
        misprint: Of a single number printed by mistake, the right one; see ``Claim``.
    """

    table: str | None = None
    line: Count | None = None
    cells: str | None = None
    protocol: str | None = None
    evidence: Evidence | None = None
    page: str | None = None
    column: Count | None = None
    part: Count = 1
    raw: str | None = None
    metric: str | None = None
    unit: Unit = "percent"
    misprint: str | None = None
    hardware: str | None = None
    scope: str | None = None
    published_as: str | None = None
    note: str = ""


class CheckpointRow(Frozen):
    """A published file; see ``posebench.types.entry.Checkpoint``, whose id is the key here."""

    container: Container
    location: Location | None = None
    file_name: RelativePath | None = None
    sha256: Sha256 | None = None
    sha256_prefix: Sha256Prefix | None = None
    sha1: Sha1Prefix | None = None
    size: Bytes | None = None
    licence: str = ""
    repair: Repair | None = None
    note: str = ""


class Row(Frozen):
    """One model.

    Attributes:
        short: Short name; the id if not given.
        input: Name of one of the zoo's ``inputs``.
        checkpoint: A key of the zoo's ``checkpoints`` or of ``checkpoints.yaml``; the row's id if
            neither this nor ``file`` is given.
        file: The checkpoint itself, for a file that serves this row alone.
        adapter: The zoo's if not given.
        protocol: What to evaluate under where the row claims no accuracy.
        licence: The zoo's if not given.
        cite: Keys of the zoo's ``citations``; the zoo's ``cite`` if not given.
    """

    id: Id
    short: Id | None = None
    title: str
    dataset: Id
    network: NetworkSpec
    adapter: str | None = None
    input: str
    checkpoint: str | None = None
    file: CheckpointRow | None = None
    claims: tuple[ClaimRow, ...] = ()
    protocol: str | None = None
    licence: str | None = None
    cite: tuple[str, ...] | None = None
    status: str | None = None
    note: str = ""


class ZooFile(Frozen):
    """A file of ``registry/zoos/``.

    Attributes:
        zoo: Slug; the file's name without suffix.
        adapter: Naming scheme of the zoo's parameters.
        citations: Key -> BibTeX.
        cite: Keys that speak for every row that names none.
        inputs: Name -> what belongs to the weights.
        checkpoints: Files that serve this zoo alone; their ids become ``<zoo>.<key>``.
    """

    zoo: Id
    title: str
    homepage: WebAddress = ""
    licence: str
    adapter: str = "native"
    citations: dict[str, str] = Field(default_factory=dict)
    cite: tuple[str, ...] = ()
    pages: dict[str, PageSpec] = Field(default_factory=dict)
    inputs: dict[str, InputSpec]
    tables: dict[str, TableSpec] = Field(default_factory=dict)
    checkpoints: dict[Id, CheckpointRow] = Field(default_factory=dict)
    rows: tuple[Row, ...]

"""Rows of a zoo file to entries: table cells become claims."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

from posebench.network_families import check_arguments, check_input
from posebench.registry.documents import Document
from posebench.registry.schema import ClaimRow, ColumnSpec, Row, TableSpec, ZooFile
from posebench.registry.validate import checked
from posebench.types.entry import Checkpoint, Claim, Entry, Source
from posebench.types.errors import UserError
from posebench.types.suggestions import suggestion

EMPTY = "-"
At = tuple[str | int, ...]
Thing = TypeVar("Thing")


def own_id(zoo: str, key: str) -> str:
    """Return the id of a checkpoint that is defined in a zoo file, not in checkpoints.yaml."""
    return f"{zoo}.{key}"


def expand(
    document: Document, zoo: ZooFile, checkpoints: Mapping[str, Checkpoint]
) -> Iterator[Entry]:
    """Yield the entries of a zoo file, in the order of its rows.

    Args:
        document: The file, for messages.
        zoo: Its content.
        checkpoints: Every known checkpoint by id.

    Raises:
        UserError: A row speaks of something that is not defined, or a cell is not a number.
    """
    for index, row in enumerate(zoo.rows):
        at: At = ("rows", index)
        claims = tuple(
            claim
            for number, spec in enumerate(row.claims)
            for claim in _claims(document, zoo, spec, (*at, "claims", number))
        )
        fields = {
            "id": row.id,
            "zoo": zoo.zoo,
            "short": row.short or row.id,
            "title": row.title,
            "dataset": row.dataset,
            "network": row.network,
            "adapter": row.adapter or zoo.adapter,
            "input": _named(document, zoo.inputs, row.input, "input", (*at, "input")),
            "checkpoint": _checkpoint(document, zoo, row, checkpoints, at),
            "claims": claims,
            "protocol": row.protocol,
            "licence": row.licence or zoo.licence,
            "citation": _citation(document, zoo, row, at),
            "homepage": zoo.homepage,
            "note": row.note,
            "origin": f"{document.name}:{document.line((*at, 'id'))}",
        }
        if row.status is not None:
            fields["status"] = row.status
        entry = checked(document, Entry, at, fields)
        _check_network(document, entry, at)
        yield entry


def _check_network(document: Document, entry: Entry, at: At) -> None:
    """Refuse what the row's network cannot be built with, or cannot compute."""
    network, where = entry.network, "network"
    try:
        check_arguments(network.name, network.arguments)
        where = "input"
        check_input(network.name, entry.input.size)
    except ValueError as error:
        message = f"row {entry.id}: {error}."
        raise document.error(message, (*at, where), "Correct the row.") from None


def _claims(document: Document, zoo: ZooFile, spec: ClaimRow, at: At) -> Iterator[Claim]:
    """Yield the claims of one table line, or the single claim that stands apart."""
    if spec.table is None:
        yield _single_claim(document, zoo, spec, at)
        return
    table = _named(document, zoo.tables, spec.table, "table", (*at, "table"))
    page = spec.page or table.page or ""
    where: At = (*at, "page") if spec.page else ("tables", spec.table, "page")
    _named(document, zoo.pages, page, "page", where)
    cells = (spec.cells or "").split()
    if len(cells) != len(table.columns):
        raise document.error(
            f"{len(cells)} cells, but table {spec.table} has {len(table.columns)} result columns.",
            (*at, "cells"),
            f"Give one cell for each column, {EMPTY} where nothing was published.",
        )
    for column, cell in zip(table.columns, cells, strict=True):
        if cell == EMPTY:
            continue
        metrics = column.metrics or ((column.metric,) if column.metric else ())
        parts = cell.split("/") if column.metrics else [cell]
        if len(parts) != len(metrics):
            raise document.error(
                f"the cell {cell!r} has {len(parts)} parts for {len(metrics)} metrics.",
                (*at, "cells"),
                "Separate the parts of a cell by /.",
            )
        for part, (metric, raw) in enumerate(zip(metrics, parts, strict=True), start=1):
            source = Source(page=page, line=spec.line, column=column.column, part=part)
            yield _table_claim(document, spec, table, column, metric, raw, source, at)


def _table_claim(
    document: Document,
    spec: ClaimRow,
    table: TableSpec,
    column: ColumnSpec,
    metric: str,
    raw: str,
    source: Source,
    at: At,
) -> Claim:
    accuracy = column.unit in ("percent", "fraction")
    return _claim(
        document,
        at,
        metric=metric,
        raw=raw,
        unit=column.unit,
        protocol=(spec.protocol or column.protocol or table.protocol) if accuracy else None,
        evidence=spec.evidence or column.evidence or (table.evidence if accuracy else "stated"),
        hardware=None if accuracy else column.hardware or table.hardware,
        scope=None if accuracy else column.scope or table.scope,
        published_as=column.published_as,
        source=source,
        note=spec.note or column.note,
    )


def _single_claim(document: Document, zoo: ZooFile, spec: ClaimRow, at: At) -> Claim:
    for key in ("page", "raw", "metric"):
        if getattr(spec, key) is None:
            raise document.error(
                f"a claim without a table needs the key {key!r}.",
                at,
                "Give table, line and cells, or page, line, raw and metric.",
            )
    _named(document, zoo.pages, spec.page or "", "page", (*at, "page"))
    source = Source(page=spec.page or "", line=spec.line, column=spec.column, part=spec.part)
    fields = (
        *("metric", "raw", "unit", "protocol", "misprint"),
        *("hardware", "scope", "published_as", "note"),
    )
    return _claim(
        document,
        at,
        source=source,
        evidence=spec.evidence or "stated",
        **{name: getattr(spec, name) for name in fields},
    )


def _claim(document: Document, at: At, **fields: object) -> Claim:
    claim = checked(document, Claim, at, fields)
    if claim.is_accuracy and claim.protocol is None:
        raise document.error(
            f"the claim {claim.metric} {claim.raw} names no protocol.",
            at,
            "Add protocol: name@version to the claim, its column or its table.",
        )
    return claim


def _checkpoint(
    document: Document, zoo: ZooFile, row: Row, checkpoints: Mapping[str, Checkpoint], at: At
) -> Checkpoint:
    if row.file is not None and row.checkpoint is not None:
        raise document.error(
            f"row {row.id} has both checkpoint and file.", (*at, "file"), "Keep one of them."
        )
    name = row.checkpoint or row.id
    own = checkpoints.get(own_id(zoo.zoo, name))
    return own or _named(document, checkpoints, name, "checkpoint", (*at, "checkpoint"))


def _citation(document: Document, zoo: ZooFile, row: Row, at: At) -> str:
    keys = zoo.cite if row.cite is None else row.cite
    texts = [_named(document, zoo.citations, key, "citation", (*at, "cite")) for key in keys]
    return "\n".join(text.strip() + "\n" for text in texts)


def _named(document: Document, known: Mapping[str, Thing], name: str, kind: str, at: At) -> Thing:
    if name not in known:
        raise _unknown(document, known, name, kind, at)
    return known[name]


def _unknown(
    document: Document, known: Mapping[str, object], name: str, kind: str, at: At
) -> UserError:
    hint = suggestion(name, known) or f"Define it, or take one of: {', '.join(known)}."
    return document.error(f"unknown {kind} {name!r}.", at, hint)

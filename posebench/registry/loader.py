"""Reads folders of YAML into one ``Registry``.

A folder holds any of ``protocols.yaml``, ``datasets.yaml``, ``checkpoints.yaml`` and
``zoos/<zoo>.yaml``.  The one that posebench ships comes first; further folders come from
``--registry``, from ``POSEBENCH_REGISTRY`` and from entry points of the group
``posebench.registry``.  Nothing may be defined twice.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from posebench.plugins import PluginTable, first_line
from posebench.registry.documents import Document, read
from posebench.registry.lookup import Registry
from posebench.registry.rows import expand, own_id
from posebench.registry.schema import CheckpointRow, ZooFile
from posebench.registry.validate import checked, mapping
from posebench.types.base import StrPath, required_path, required_paths
from posebench.types.dataset import DatasetSpec
from posebench.types.entry import Checkpoint, Entry
from posebench.types.errors import UserError
from posebench.types.network_arguments import shortened
from posebench.types.protocol import Protocol

VARIABLE = "POSEBENCH_REGISTRY"
# Folders of installed packages: a path, or a function that returns one.
FOLDERS: PluginTable[Any] = PluginTable(
    "registry folder", "posebench.registry", {}, wanted=object, pattern=r"[\w.-]{1,100}"
)
At = tuple[str | int, ...]
_PROTOCOL = re.compile(r"([a-z0-9_.-]{1,100})@([1-9][0-9]{0,5})")
_PACKAGE = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Folder:
    """One registry folder and how messages and ``Entry.origin`` call it (never a full path)."""

    path: Path
    name: str


def load_registry(extra: Sequence[StrPath] = ()) -> Registry:
    """Return posebench's registry together with all further folders.

    Args:
        extra: Folders given by the user (``--registry``).

    Raises:
        UserError: A folder is missing, a file is wrong (file and line are named), or something is
            defined twice.
    """
    given = required_paths("registry", extra)
    named = [required_path(p) for p in os.environ.get(VARIABLE, "").split(os.pathsep) if p]
    folders = [Folder(shipped_folder(), ""), *_plug_ins()]
    for path in dict.fromkeys(path.resolve() for path in (*named, *given)):
        if not path.is_dir():
            raise UserError(
                f"The registry folder {path} does not exist.",
                f"Check --registry and {VARIABLE}.",
            )
        folders.append(Folder(path, path.name))
    return _load(tuple(folders))


def shipped_registry() -> Registry:
    """Return what posebench itself ships, without further folders and plug-ins."""
    return registry_of(shipped_folder())


def registry_of(folder: Path) -> Registry:
    """Return what one folder holds, alone.

    Raises:
        UserError: A file is wrong, or speaks of something that the folder does not define.
    """
    return _load((Folder(folder, ""),))


def shipped_folder() -> Path:
    """Return the folder of posebench's own registry: inside the wheel, or in the repository."""
    inside = _PACKAGE / "_registry"
    return inside if inside.is_dir() else _PACKAGE.parent / "registry"


def _plug_ins() -> Iterator[Folder]:
    """Yield the folders that installed packages offer.

    Raises:
        UserError: Two packages offer one name, or one offers what is not a folder.
    """
    for name, offer in FOLDERS.items():
        whose = f"The registry folder {name!r} of {FOLDERS.owner(name)}"
        hint = "Update or uninstall the package that brings it."
        try:
            path = Path(offer() if callable(offer) else offer)
        except Exception as error:  # code of others: anything may be wrong with it
            raise UserError(f"{whose} cannot be found: {first_line(error)}.", hint) from error
        if not path.is_dir():
            raise UserError(f"{whose} is {path.name!r}, which is not a folder.", hint)
        yield Folder(path, name)


@lru_cache(maxsize=8)
def _load(folders: tuple[Folder, ...]) -> Registry:
    collected = _Collection()
    for folder in folders:
        collected.add_shared_files(folder)
    for folder in folders:
        for path in sorted((folder.path / "zoos").glob("*.yaml")):
            collected.add_zoo(_read(folder, path))
    return collected.registry()


def _read(folder: Folder, path: Path) -> Document:
    inner = path.relative_to(folder.path).as_posix()
    return read(path, f"{folder.name}/{inner}" if folder.name else inner)


class _Collection:
    """What the folders hold together, and where each thing was defined."""

    def __init__(self) -> None:
        self.protocols: dict[str, Protocol] = {}
        self.datasets: dict[str, DatasetSpec] = {}
        self.checkpoints: dict[str, Checkpoint] = {}
        self.entries: dict[str, Entry] = {}
        self.zoos: dict[str, ZooFile] = {}
        self.places: dict[tuple[str, str], str] = {}

    def add_shared_files(self, folder: Folder) -> None:
        """Take protocols, datasets and checkpoints of a folder."""
        for file, add in (
            ("protocols", self._add_protocol),
            ("datasets", self._add_dataset),
            ("checkpoints", self.add_checkpoint),
        ):
            path = folder.path / f"{file}.yaml"
            if path.is_file():
                document = _read(folder, path)
                for name, fields in mapping(document).items():
                    add(document, (name,), name, fields)

    def _add_protocol(self, document: Document, at: At, key: str, fields: Any) -> None:
        found = _PROTOCOL.fullmatch(key)
        if found is None:
            raise document.error(
                f"the protocol {shortened(key)} is not called name@version.",
                at,
                "Small letters, digits and _ . - make the name, a whole number the version: a@1.",
            )
        labels = {"name": found[1], "version": int(found[2])}
        protocol = checked(document, Protocol, at, fields, labels)
        self._claim_name(document, at, "protocol", key)
        self.protocols[key] = protocol

    def _add_dataset(self, document: Document, at: At, key: str, fields: Any) -> None:
        self._claim_name(document, at, "dataset", key)
        self.datasets[key] = checked(document, DatasetSpec, at, fields, {"id": key})

    def add_checkpoint(self, document: Document, at: At, key: str, fields: Any) -> None:
        """Take one checkpoint."""
        self._claim_name(document, at, "checkpoint", key)
        self.checkpoints[key] = checked(document, Checkpoint, at, fields, {"id": key})

    def add_zoo(self, document: Document) -> None:
        """Take a zoo file: its rows become entries."""
        zoo = checked(document, ZooFile, (), mapping(document), {})
        stem = Path(document.name).stem
        if zoo.zoo != stem:
            raise document.error(
                f"the zoo {zoo.zoo!r} stands in {stem}.yaml.", ("zoo",), f"Call it {stem}."
            )
        self._claim_name(document, ("zoo",), "zoo", zoo.zoo)
        self.zoos[zoo.zoo] = zoo
        for key, fields in zoo.checkpoints.items():
            self._add_own(document, ("checkpoints", key), zoo, key, fields)
        for index, row in enumerate(zoo.rows):
            if row.file is not None:
                self._add_own(document, ("rows", index, "file"), zoo, row.id, row.file)
        for index, entry in enumerate(expand(document, zoo, self.checkpoints)):
            self._claim_name(document, ("rows", index, "id"), "row", entry.key)
            self._check(document, index, entry)
            self.entries[entry.key] = entry

    def _add_own(
        self, document: Document, at: At, zoo: ZooFile, key: str, fields: CheckpointRow
    ) -> None:
        """Take a checkpoint of a zoo file; its id carries the zoo, so that zoos never clash."""
        given = fields.model_dump(exclude_unset=True)
        self.add_checkpoint(document, at, own_id(zoo.zoo, key), given)

    def _check(self, document: Document, index: int, entry: Entry) -> None:
        if entry.dataset not in self.datasets:
            raise document.error(
                f"unknown dataset {entry.dataset!r}.",
                ("rows", index, "dataset"),
                f"Known: {', '.join(self.datasets)}.",
            )
        for name in (entry.protocol, *(claim.protocol for claim in entry.claims)):
            if name is not None and name not in self.protocols:
                raise document.error(
                    f"row {entry.id} names the unknown protocol {name!r}.",
                    ("rows", index),
                    "Name it with its version, as name@1; see protocols.yaml.",
                )

    def _claim_name(self, document: Document, at: At, kind: str, key: str) -> None:
        place = f"{document.name}:{document.line(at)}"
        first = self.places.setdefault((kind, key), place)
        if first is not place:
            raise UserError(
                f"{place}: the {kind} {key!r} is already defined at {first}.",
                "Give it another name.",
            )

    def registry(self) -> Registry:
        """Return everything, frozen."""
        return Registry(
            entries=tuple(self.entries.values()),
            protocols=self.protocols,
            datasets=self.datasets,
            checkpoints=self.checkpoints,
            zoos=self.zoos,
        )

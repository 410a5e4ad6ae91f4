"""Registry: every known row, and the one that a name means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from posebench.registry.schema import ZooFile
from posebench.registry.validate import suggestion
from posebench.types.dataset import DatasetSpec
from posebench.types.entry import Checkpoint, Entry
from posebench.types.errors import UserError
from posebench.types.protocol import Protocol


@dataclass(frozen=True, eq=False)
class Registry:
    """Everything that the YAML files say.

    Attributes:
        entries: All rows, zoo by zoo, in the order of the files.
        protocols: ``name@version`` -> protocol.
        datasets: Id -> dataset.
        checkpoints: Id -> published file.
        zoos: Slug -> the zoo's file as it stands (title, pages, citations).
    """

    entries: tuple[Entry, ...]
    protocols: Mapping[str, Protocol]
    datasets: Mapping[str, DatasetSpec]
    checkpoints: Mapping[str, Checkpoint]
    zoos: Mapping[str, ZooFile]

    def find(self, name: str, dataset: str | None = None) -> Entry:
        """Return the row that a name means; never a guess.

        Args:
            name: ``zoo/id``, an id, or a short name.
            dataset: Chooses between rows that share an id or a short name.

        Raises:
            UserError: No row has that name, or several have it.
        """
        by_key = [e for e in self.entries if e.key == name]
        if by_key:
            return by_key[0]
        named = [e for e in self.entries if e.id == name]
        if not named:
            named = [e for e in self.entries if e.short == name]
        if not named:
            raise self._unknown(name)
        if dataset is None or (len(named) == 1 and named[0].id == name):
            return self._only(name, named)
        chosen = [e for e in named if e.dataset == dataset]
        if not chosen:
            raise UserError(
                f"No row called {name!r} was published for the dataset {dataset!r}.",
                f"Give a full name to take it there all the same: {_listed(named)}.",
            )
        return self._only(name, chosen)

    def protocol(self, name: str) -> Protocol:
        """Return a protocol by ``name@version``, or the newest version of a bare name.

        Raises:
            UserError: There is no such protocol.
        """
        if name in self.protocols:
            return self.protocols[name]
        versions = [p for p in self.protocols.values() if p.name == name]
        if versions:
            return max(versions, key=lambda p: p.version)
        names = dict.fromkeys((*(p.name for p in self.protocols.values()), *self.protocols))
        raise UserError(
            f"Unknown protocol {name!r}.",
            suggestion(name, names) or f"Known protocols: {', '.join(self.protocols)}.",
        )

    def dataset(self, name: str) -> DatasetSpec:
        """Return a dataset by its id.

        Raises:
            UserError: There is no such dataset.
        """
        if name not in self.datasets:
            raise UserError(
                f"Unknown dataset {name!r}.",
                suggestion(name, self.datasets) or f"Known datasets: {', '.join(self.datasets)}.",
            )
        return self.datasets[name]

    def _only(self, name: str, entries: list[Entry]) -> Entry:
        if len(entries) > 1:
            raise UserError(
                f"{name!r} names {len(entries)} rows: {_listed(entries)}.",
                "Give one of these full names.",
            )
        return entries[0]

    def _unknown(self, name: str) -> UserError:
        known = [name for e in self.entries for name in (e.short, e.id)]
        if "/" in name:
            known = [e.key for e in self.entries]
        hint = suggestion(name, dict.fromkeys(known), 3) or "`posebench list` shows every row."
        return UserError(f"Unknown model {name!r}.", hint)


def _listed(entries: list[Entry]) -> str:
    return ", ".join(entry.key for entry in entries)

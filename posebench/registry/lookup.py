"""Registry: every known row, and the one that a name means."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from shlex import quote

from posebench.registry.schema import ZooFile
from posebench.types.dataset import DatasetSpec
from posebench.types.entry import Checkpoint, Entry
from posebench.types.errors import UserError
from posebench.types.protocol import Protocol
from posebench.types.suggestions import nearest, suggestion

_WORD = re.compile(r"[a-z0-9]+")
FEWEST = 3  # letters of a part of a name; fewer are a part of too much
MOST = 40  # candidates that a sentence names


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
        """Return the row that a name means; never a guess between several.

        A name is looked for as a full name, an id or a short name, then as the beginning of one of
        these, then as a part of one, whatever the case. The first of these steps that finds rows
        decides.

        Args:
            name: ``zoo/id``, an id, a short name, or a part of them that only one row has.
            dataset: Chooses between rows that share a name.

        Raises:
            UserError: No row has that name, or several have it; or the dataset is unknown.
        """
        if dataset is not None and all(dataset != entry.dataset for entry in self.entries):
            self.dataset(dataset)
        for full in ("key", "id"):
            found = [e for e in self.entries if getattr(e, full) == name]
            if len(found) == 1:
                return found[0]
        named = [e for e in self.entries if name in (e.id, e.short)] or self._partly(name)
        if not named:
            raise self._unknown(name)
        chosen = [e for e in named if dataset in (None, e.dataset)]
        if not chosen:
            raise UserError(
                f"No row called {name!r} was published for the dataset {dataset!r}.",
                f"Give a full name to take it there all the same: {_listed(named, name)}.",
            )
        if len(chosen) > 1:
            raise UserError(
                f"{name!r} names {len(chosen)} rows: {_listed(chosen, name)}.",
                "Give one of these full names.",
            )
        return chosen[0]

    def search(self, text: str) -> tuple[Entry, ...]:
        """Return the rows of whose names or title every word of a text is a part.

        Args:
            text: Words, whatever their case; an empty one finds every row.
        """
        words = text.casefold().split()
        return tuple(
            entry
            for entry in self.entries
            if all(any(word in name for name in _names(entry)) for word in words)
        )

    def near(self, text: str) -> str:
        """Return ``Did you mean ...?`` for the words of a text that no row has in its names."""
        known = {word for e in self.entries for name in _names(e) for word in _WORD.findall(name)}
        strange = [word for word in text.casefold().split() if not self.search(word)]
        return " ".join(filter(None, (suggestion(word, sorted(known)) for word in strange)))

    def _partly(self, name: str) -> list[Entry]:
        """Rows with a name that begins with this, else those with a name that contains it."""
        part = name.casefold()
        if len(part) < FEWEST:
            return []
        begins = [e for e in self.entries if any(n.startswith(part) for n in _names(e))]
        return begins or list(self.search(name))

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
        names = dict.fromkeys(p.name for p in self.protocols.values())
        known = self.protocols if "@" in name else names
        raise UserError(
            f"Unknown protocol {name!r}.",
            f"The nearest are {', '.join(nearest(name, known, 5))}; "
            "`posebench list --protocols` shows all.",
        )

    def dataset(self, name: str) -> DatasetSpec:
        """Return a dataset by its id.

        Raises:
            UserError: There is no such dataset.
        """
        if name not in self.datasets:
            raise UserError(
                f"Unknown dataset {name!r}.",
                f"{suggestion(name, self.datasets)} Known: {', '.join(self.datasets)}.".strip(),
            )
        return self.datasets[name]

    def _unknown(self, name: str) -> UserError:
        known = [name for e in self.entries for name in (e.short, e.id)]
        if "/" in name:
            known = [e.key for e in self.entries]
        hint = suggestion(name, dict.fromkeys(known), 3) or self.near(name)
        return UserError(
            f"Unknown model {name!r}.", f"{hint} `posebench list TEXT` searches all models.".strip()
        )


def _names(entry: Entry) -> tuple[str, ...]:
    """What a row is looked for by, without case."""
    names = (entry.key, entry.id, entry.short, entry.title)
    return tuple(name.casefold() for name in names)


def _listed(entries: list[Entry], name: str) -> str:
    keys = ", ".join(entry.key for entry in entries[:MOST])
    more = len(entries) - MOST
    return keys if more <= 0 else f"{keys} and {more} more (`posebench list {quote(name)}`)"

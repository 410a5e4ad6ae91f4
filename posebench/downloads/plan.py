"""``fetch``: what a model or a dataset still needs, and how it gets here."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from posebench.downloads.cache import Cache
from posebench.downloads.checksum_lock import ChecksumLock
from posebench.downloads.data_root import DATA_ROOT, named_root
from posebench.downloads.datasets import Bundle, fetch_bundle, is_there, missing_bundles
from posebench.downloads.drive import drive_page
from posebench.downloads.http import RetryPolicy
from posebench.downloads.http_file import remote_size
from posebench.downloads.parallel import in_parallel
from posebench.downloads.weights import Fetcher, by_hand, download_method
from posebench.registry import load_registry
from posebench.types.dataset import DatasetSpec
from posebench.types.entry import Checkpoint, Entry
from posebench.types.errors import UserError
from posebench.types.suggestions import suggestion

# Called with (name, bytes so far, bytes in all or None).
Report = Callable[[str, int, "int | None"], None]
THERE, SHIPPED, TO_FETCH, BY_HAND = "there", "shipped", "to fetch", "by hand"
FETCHED, FAILED = "fetched", "failed"
RESTRICTED = re.compile(r"non-?commercial|no commercial|research|\bNC\b", re.IGNORECASE)
ASKERS = 8


@dataclass(frozen=True)
class Item:
    """One file that was asked for, before or after it was fetched.

    Attributes:
        name: The checkpoint's id, or dataset and path.
        what: The models that use it, or what it holds.
        state: ``there``, ``shipped``, ``to fetch`` or ``by hand``; afterwards also ``fetched`` or
            ``failed``.
        location: Its web address, where it has one.
        licence: Terms as its publisher states them.
        size: Bytes of the download, None where no one says.
        file: Where it lies.
        sha256: Of a checkpoint's file.
        message: What is wrong, or was found out.
        hint: What to do next.
    """

    name: str
    what: str
    state: str
    location: str = ""
    licence: str = ""
    size: int | None = None
    file: Path | None = None
    sha256: str | None = None
    message: str = ""
    hint: str = ""
    checkpoint: Checkpoint | None = field(default=None, repr=False)
    bundle: Bundle | None = field(default=None, repr=False)

    def to_json(self) -> dict[str, Any]:
        """Return what a program wants to know."""
        return {
            "name": self.name,
            "what": self.what,
            "state": self.state,
            "location": self.location or None,
            "licence": self.licence,
            "bytes": self.size,
            "file": str(self.file) if self.file else None,
            "sha256": self.sha256,
            "message": self.message,
            "hint": self.hint,
        }

    @property
    def restricted(self) -> bool:
        """Whether somebody has to agree to its licence first."""
        return self.state == TO_FETCH and bool(RESTRICTED.search(self.licence))


@dataclass
class Settings:
    """How to fetch.

    Attributes:
        registry: Folders of further rows.
        data_root: Where datasets go; None means ``POSEBENCH_DATA``.
        jobs: Downloads at a time.
        policy: How patient each is, and who may stop all.
    """

    registry: Sequence[Path] = ()
    data_root: Path | None = None
    jobs: int = 4
    policy: RetryPolicy = field(default_factory=RetryPolicy)

    def cache(self) -> Cache:
        """Return the cache of weights."""
        return Cache()

    def locks(self) -> ChecksumLock:
        """Return what was fetched before."""
        return ChecksumLock(self.cache(), tuple(self.registry))

    def root(self, spec: DatasetSpec) -> Path:
        """Return the data root.

        Raises:
            UserError: None was given.
        """
        root = named_root(self.data_root)
        if root is None:
            raise UserError(
                f"Where shall {spec.title} go? Neither --data-root nor {DATA_ROOT} is given.",
                "Give a folder; one can serve all datasets that use COCO's images.",
            )
        return root


def entries_to_fetch(
    models: Sequence[str],
    *,
    zoo: str | None = None,
    dataset: str | None = None,
    registry: Sequence[Path] = (),
) -> tuple[Entry, ...]:
    """Return the rows that are meant.

    Args:
        models: Ids or short names; if none, all rows that pass the filters.
        zoo: Keep rows of this zoo.
        dataset: Keep rows of this dataset; tells rows of one short name apart.
        registry: Folders of further rows.

    Raises:
        UserError: No row has that name, or no row passes.
    """
    known = load_registry(tuple(registry))
    if models:
        return tuple(known.find(name, dataset) for name in models)
    if zoo is not None and zoo not in known.zoos:
        hint = suggestion(zoo, known.zoos) or f"Known zoos: {', '.join(known.zoos)}."
        raise UserError(f"Unknown zoo {zoo!r}.", hint)
    if dataset is not None:
        known.dataset(dataset)
    kept = tuple(
        entry
        for entry in known.entries
        if zoo in (None, entry.zoo) and dataset in (None, entry.dataset)
    )
    if not kept:
        raise UserError(f"The zoo {zoo} has no model for {dataset}.", "Drop one of the filters.")
    return kept


def plan_named(
    models: Sequence[str],
    settings: Settings,
    *,
    zoo: str | None = None,
    dataset: str | None = None,
    every: bool = False,
) -> list[Item]:
    """Return one item for each file of what was named.

    Args:
        models: Ids or short names: their weights.
        settings: How to fetch.
        zoo: The weights of all models of this zoo.
        dataset: Its files; with models, a zoo or ``every`` it keeps the models for it.
        every: The weights of all models.

    Raises:
        UserError: A name is unknown, no row passes, or a dataset has nothing to fetch.
    """
    if dataset is not None and not (models or zoo or every):
        return plan_dataset(load_registry(tuple(settings.registry)).dataset(dataset), settings)
    entries = entries_to_fetch(models, zoo=zoo, dataset=dataset, registry=settings.registry)
    return plan_entries(entries, settings)


def plan_entries(entries: Sequence[Entry], settings: Settings) -> list[Item]:
    """Return one item for each file that the rows need; rows that share a file share it."""
    users: dict[str, list[Entry]] = {}
    for entry in entries:
        users.setdefault(entry.checkpoint.id, []).append(entry)
    cache, locks = settings.cache(), settings.locks()
    return [
        _planned(rows[0].checkpoint, ", ".join(row.key for row in rows), cache, locks)
        for rows in users.values()
    ]


def _planned(checkpoint: Checkpoint, what: str, cache: Cache, locks: ChecksumLock) -> Item:
    way, held, line = download_method(checkpoint), cache.find(checkpoint), locks.find(checkpoint)
    item = Item(
        name=checkpoint.id,
        what=what,
        state=TO_FETCH,
        location=drive_page(checkpoint.location or ""),
        licence=checkpoint.licence,
        size=checkpoint.size or (line.size if line else None),
        checkpoint=checkpoint,
    )
    if way in ("shipped", "none"):
        return replace(item, state=SHIPPED, size=None, message="comes with posebench")
    if held is not None:
        return replace(item, state=THERE, file=held.path, sha256=held.sha256, size=held.size)
    if way == "by hand":
        return replace(item, state=BY_HAND, hint=by_hand(checkpoint))
    return item


def plan_dataset(spec: DatasetSpec, settings: Settings) -> list[Item]:
    """Return one item for each download a dataset needs, and for what is there.

    Raises:
        UserError: posebench draws it itself, or no data root was given.
    """
    if not spec.files:
        raise UserError(f"There is nothing to fetch for {spec.id}.", spec.how_to_get)
    root = settings.root(spec)
    items = []
    for file in spec.files:
        item = Item(f"{spec.id}: {file.path}", file.what, THERE, file.url or "",
                    file.licence or spec.licence, file.bytes, root / file.path)  # fmt: skip
        if is_there(spec, file, root):
            items.append(item)
        elif file.url is None:
            items.append(replace(item, state=BY_HAND, hint=f"Put it at {item.file}."))
    for bundle in missing_bundles(spec, root):
        paths = ", ".join(file.path for file in bundle.files)
        licences = dict.fromkeys(file.licence or spec.licence for file in bundle.files)
        items.append(
            Item(
                name=f"{spec.id}: {paths}",
                what="; ".join(file.what for file in bundle.files),
                state=TO_FETCH,
                location=bundle.url,
                # terms of the whole, where a file has none of its own
                licence="; ".join(licences),
                size=bundle.size,
                file=root / bundle.files[0].path,
                bundle=bundle,
            )
        )
    return items


def with_sizes(items: Sequence[Item], settings: Settings) -> list[Item]:
    """Ask the servers for the sizes that no one has written down; no file is fetched."""
    unknown = [
        item for item in items if item.state == TO_FETCH and item.size is None and _is_plain(item)
    ]
    asked = in_parallel(
        unknown,
        lambda item: remote_size(item.location, min(10.0, settings.policy.timeout)),
        jobs=ASKERS,
        cancel=settings.policy.cancel,
    )
    sizes = {item.name: size for item, size in asked if isinstance(size, int)}
    return [replace(item, size=sizes.get(item.name, item.size)) for item in items]


def _is_plain(item: Item) -> bool:
    if item.checkpoint is not None:
        return download_method(item.checkpoint) == "http"
    return item.bundle is not None and item.bundle.location == item.bundle.url


def fetch_items(
    items: Sequence[Item],
    settings: Settings,
    *,
    report: Report | None = None,
    say: Callable[[str], None] | None = None,
) -> list[Item]:
    """Fetch what is to be fetched; one that fails does not stop the others.

    Args:
        items: From the ``plan_...`` functions.
        settings: How.
        report: Called with (name, bytes so far, bytes in all or None), from several threads.
        say: Called with sentences for a person.

    Returns:
        The items as they are now.
    """
    fetcher = Fetcher(settings.cache(), settings.locks(), settings.policy)

    def work(item: Item) -> Item:
        def progress(done: int, total: int | None) -> None:
            if report is not None:
                report(item.name, done, total)

        def waiting() -> None:
            if say is not None:
                say(f"{item.name}: another process is fetching it")

        if item.checkpoint is not None:
            held = fetcher.fetch(item.checkpoint, progress, waiting)
            return replace(item, state=FETCHED, file=held.path, sha256=held.sha256, size=held.size)
        assert item.bundle is not None
        root = settings.root(item.bundle.spec)
        places = fetch_bundle(
            item.bundle, root, fetcher.receiver, progress=progress, waiting=waiting
        )
        return replace(item, state=FETCHED, file=places[0])

    results = {}
    wanted = [item for item in items if item.state == TO_FETCH]
    for item, result in in_parallel(
        wanted, work, jobs=settings.jobs, cancel=settings.policy.cancel
    ):
        told = f"failed: {result}" if isinstance(result, UserError) else result.state
        results[item.name] = failed(item, result) if isinstance(result, UserError) else result
        if say is not None:
            say(f"{item.name}: {told}")
    return [results.get(item.name, item) for item in items]


def failed(item: Item, error: UserError) -> Item:
    """Return an item as failed, with what went wrong."""
    return replace(item, state=FAILED, message=error.message, hint=error.hint, file=None)


def take_file(entry: Entry, file: Path, settings: Settings) -> Item:
    """Put a file that somebody downloaded into the cache, checked like a fetched one.

    Raises:
        UserError: It is not what the registry or an earlier fetch says, or cannot be read.
    """
    fetcher = Fetcher(settings.cache(), settings.locks(), settings.policy)
    held = fetcher.take(entry.checkpoint, file)
    item = _planned(entry.checkpoint, entry.key, fetcher.cache, fetcher.locks)
    return replace(item, state=FETCHED, file=held.path, sha256=held.sha256, size=held.size)


def ensure_checkpoint(
    entry: Entry, *, accept_licence: bool = False, settings: Settings | None = None
) -> Path | None:
    """Return a row's weights file, fetching it first where it is not in the cache.

    Args:
        entry: The row.
        accept_licence: Fetch it also under terms that somebody has to agree to.
        settings: How.

    Returns:
        The file; None for weights that come with posebench.

    Raises:
        UserError: It cannot be had, or no one agreed to its licence.
    """
    settings = settings or Settings()
    (item,) = plan_entries([entry], settings)
    if item.state == SHIPPED:
        return None
    if item.restricted and not accept_licence:
        raise UserError(
            f"The weights of {entry.key} are under the licence '{item.licence}'.",
            f"`posebench fetch {entry.key} --accept-licence` if you agree to it.",
        )
    if item.state == BY_HAND:
        raise UserError(f"{entry.key} needs its weights file.", item.hint)
    (item,) = fetch_items([item], settings)
    if item.state == FAILED:
        raise UserError(item.message, item.hint)
    return item.file

"""``fetch`` and ``report``: published files in, pages out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from posebench.downloads import plan
from posebench.downloads.plan import Item, Settings
from posebench.evaluation.published_boxes import with_checked_boxes
from posebench.records.store import LeftOut, read_records
from posebench.registry import load_registry
from posebench.site.background import VERIFIED, read_verified, registry_background
from posebench.site.pages import write_site
from posebench.site.studies import analyse_predictions, find_explanations
from posebench.site.text import one_line
from posebench.types.base import StrPath, given_path, required_path, required_paths
from posebench.types.errors import UserError


def fetch(
    models: str | Sequence[str] = (),
    *,
    zoo: str | None = None,
    dataset: str | None = None,
    data_root: StrPath | None = None,
    accept_licence: bool = False,
    jobs: int = 4,
    registry: Sequence[StrPath] = (),
) -> list[Item]:
    """Download weights, or a dataset, checked and resumable.

    Args:
        models: Id or short name, or several: their weights.
        zoo: The weights of all models of this zoo.
        dataset: Without models and zoo, the files of this dataset; else it keeps the models for it.
        data_root: Where a dataset goes; default ``POSEBENCH_DATA``.
        accept_licence: Agree to the licences of what is fetched, also non-commercial ones.
        jobs: Downloads at a time.
        registry: Folders of further rows.

    Returns:
        One item a file, with its state: ``there``, ``shipped``, ``fetched``, ``by hand`` or
        ``failed`` with a message.

    Raises:
        UserError: Nothing or something unknown was named, or a licence needs to be accepted.

    Example:
        >>> import posebench
        >>> [item.state for item in posebench.fetch("demo_s")]
        ['shipped']
    """
    names = [models] if isinstance(models, str) else list(models)
    if not names and zoo is None and dataset is None:
        raise UserError("Nothing to fetch is named.", "Give models, zoo or dataset.")
    folders = required_paths("registry", registry)
    settings = Settings(registry=folders, data_root=given_path(data_root), jobs=jobs)
    items = plan.plan_named(names, settings, zoo=zoo, dataset=dataset)
    refused = [item for item in items if item.restricted]
    if refused and not accept_licence:
        raise UserError(
            f"{refused[0].name} is under the licence '{refused[0].licence}'.",
            "Pass accept_licence=True if you agree to it.",
        )
    return with_checked_boxes(plan.fetch_items(items, settings), settings)


@dataclass(frozen=True)
class Report:
    """A written site.

    Attributes:
        page: Its front page.
        records: How many records it shows.
        left_out: Files that could not be read, named on the front page.
    """

    page: Path
    records: int
    left_out: tuple[LeftOut, ...]


def report(
    records: StrPath,
    output: StrPath,
    *,
    data_root: StrPath | None = None,
    verified: StrPath | None = None,
    registry: Sequence[StrPath] = (),
    notify: Callable[[str], None] | None = None,
) -> Report:
    """Write pages from the records of a folder.

    Args:
        records: Folder of records, searched through.
        output: Where ``index.html`` goes; files of an earlier site are replaced one by one.
        data_root: A dataset in its usual layout: saved predictions next to the records are then
            compared with its annotations; default ``POSEBENCH_DATA``.
        verified: What ``posebench verify --all --json`` printed; by default ``verified.json`` next
            to the records, where there is one.
        registry: Folders of further rows.
        notify: Called with a sentence about what could not be shown.

    Returns:
        The front page, and what was left out of it.

    Raises:
        UserError: There are no records, none can be read, or the pages cannot be written.

    Example:
        >>> import posebench, tempfile
        >>> from posebench.records.store import save
        >>> folder = tempfile.mkdtemp()
        >>> record = posebench.evaluate("demo_s", dataset="synthetic", limit=4, threads=1)
        >>> _ = save(record, posebench.api.files.required_path(folder))
        >>> posebench.report(folder, f"{folder}/site").page.name
        'index.html'
    """
    folder = required_path(records)
    found, left_out = read_records(folder)
    tell = notify or (lambda words: None)
    if not found:
        for file in left_out:
            tell(one_line(f"left out: {file.problem} {file.hint}"))
        raise UserError(
            f"None of the files below {folder} that are named like records can be read; "
            f"the first is {left_out[0].path}.",
            "Measure again, or name another folder.",
        )
    folders = required_paths("registry", registry)
    known, unread = _verified(folder, given_path(verified))
    studies = analyse_predictions(
        folder,
        found,
        data_root=given_path(data_root),
        registry=folders,
        warn=tell,
    )
    explanations, damaged = find_explanations(folder)
    gone = (*left_out, *unread, *damaged)
    background = registry_background(load_registry(folders), known)
    page = write_site(found, required_path(output), background, studies, explanations, gone)
    return Report(page, len(found), gone)


def _verified(
    records: Path, given: Path | None
) -> tuple[dict[str, str] | None, tuple[LeftOut, ...]]:
    """Read what was verified: a file that was asked for has to be right, one found does not."""
    if given is not None:
        return read_verified(given), ()
    found = records / VERIFIED
    try:
        return (read_verified(found) if found.is_file() else None), ()
    except UserError as error:
        return None, (LeftOut(VERIFIED, error.message.replace(str(found), VERIFIED), error.hint),)

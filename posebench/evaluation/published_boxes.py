"""Fetched detector boxes, compared with the AP that their publisher states."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from posebench.downloads.datasets import Bundle
from posebench.downloads.plan import FETCHED, Item, Settings, failed
from posebench.types.dataset import DatasetSpec
from posebench.types.errors import UserError


def with_checked_boxes(items: Sequence[Item], settings: Settings) -> list[Item]:
    """Compare fetched detector boxes with the AP they are published with.

    Args:
        items: As ``fetch_items`` returned them.
        settings: That they were fetched with.

    Returns:
        The items; boxes say what was found out, and have failed where they have another AP.
    """
    return [_checked(item, settings) for item in items]


def _checked(item: Item, settings: Settings) -> Item:
    if item.state != FETCHED or item.bundle is None or item.file is None:
        return item
    try:
        message = check_boxes(item.bundle, item.file, settings.root(item.bundle.spec))
    except UserError as error:
        return failed(item, error)
    return replace(item, message=message)


def check_boxes(bundle: Bundle, file: Path, root: Path) -> str:
    """Compare a box file with the AP that its publisher gives; a wrong one is removed.

    Their number was checked when they came.

    Args:
        bundle: What was fetched; anything but boxes passes.
        file: Where it lies.
        root: The data root, for the annotations.

    Returns:
        What was found out, empty where there was nothing to.

    Raises:
        UserError: The boxes have another AP.
    """
    known = bundle.box_file
    if known is None or known.boxes is None:
        return ""
    area = _area(bundle.spec, file, root)
    if area is None or known.box_ap is None:
        return f"{known.boxes} boxes; their AP can be checked once COCO's annotations are there"
    if round(area, 1) != known.box_ap:
        file.unlink(missing_ok=True)
        raise UserError(
            f"The boxes from {bundle.url} have AP {area:.1f}, the published ones {known.box_ap}.",
            "Their publisher may have replaced the file; look at its page.",
        )
    return f"{known.boxes} boxes, AP {area:.1f}"


def _area(spec: DatasetSpec, file: Path, root: Path) -> float | None:
    """Return the AP of the boxes, percent; None without COCO's own, complete annotations."""
    stem = _annotations(spec)
    if spec.reader != "coco" or stem is None:
        return None
    # heavy, and only needed where boxes were fetched
    from posebench.datasets.detections import read_detections
    from posebench.evaluation.data import open_dataset
    from posebench.scoring.coco import box_ap
    from posebench.types.request import DataPaths

    try:
        dataset = open_dataset(spec, DataPaths(data_root=root), stem)
        if not dataset.complete:
            return None
        found = read_detections(file, dataset)
    except UserError:
        return None
    return box_ap(dataset, dataset.images.id[found.image_index], found.box, found.score)


def _annotations(spec: DatasetSpec) -> str | None:
    """Return what the dataset's own annotation file puts in place of ``{annotations}``."""
    before, _, after = spec.annotation_file.partition("{annotations}")
    pattern = re.escape(before) + "(.+)" + re.escape(after)
    found = (re.fullmatch(pattern, data.path) for data in spec.files)
    return next((match[1] for match in found if match), None)

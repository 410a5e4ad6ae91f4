"""Fetched detector boxes prove themselves: by their number, and by their AP."""

from __future__ import annotations

import re
from pathlib import Path

from posebench.checkpoints.fetch_data import Bundle
from posebench.types.dataset import DatasetSpec
from posebench.types.errors import UserError


def prove_boxes(bundle: Bundle, file: Path, root: Path) -> str:
    """Hold a box file against the AP that its publisher gives; a wrong one is removed.

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
    from posebench.datasets.detections import read_detections
    from posebench.run.data import Sources, open_dataset
    from posebench.scoring.coco import box_ap

    try:
        dataset = open_dataset(spec, Sources(data_root=root), stem)
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

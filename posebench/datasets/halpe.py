"""Halpe's 136 keypoints, and the sets that are parts of them -> ``Dataset``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from posebench.datasets.coco import build, expect, numbers_of, open_coco
from posebench.datasets.rows import Row
from posebench.keypoints import keypoint_set as named_set
from posebench.keypoints import selection
from posebench.types.arrays import Dataset
from posebench.types.errors import UserError

WHOLE = "halpe_136"


def load_halpe(
    annotations: Path,
    images: Path,
    *,
    dataset_id: str,
    keypoint_set: str,
    tolerant: bool = False,
) -> Dataset:
    """Load Halpe's annotations: COCO's layout, 136 keypoints, fractions as visibilities.

    Args:
        annotations: ``halpe_val_v1.json``, or a file that holds the wanted keypoints alone.
        images: Folder of the image files.
        dataset_id: Id in the registry.
        keypoint_set: ``halpe_136`` or a set whose every keypoint Halpe has (``halpe_26``,
            ``noface_68``); keypoints are picked by name.
        tolerant: See ``posebench.datasets.coco.load_coco``.

    Returns:
        Its ``num_keypoints`` counts the labelled keypoints of that set: the file's own number
        is that of COCO's 17.

    Raises:
        UserError: The file is none of Halpe, or the set is not part of Halpe's.
    """
    picked = selection(WHOLE, keypoint_set)
    if picked is None:
        raise UserError(f"Halpe does not annotate every keypoint of {keypoint_set}.")
    whole, joints = len(named_set(WHOLE)), len(picked)
    wanted = " or ".join(dict.fromkeys((f"{whole}", f"{joints}")))
    file = open_coco(annotations, f"with {wanted} keypoints a person")
    if file.kind.layout == "wholebody":
        raise UserError(
            f"{annotations} holds {file.kind.words}, not Halpe's.",
            "Evaluate on coco_wholebody, or give Halpe's halpe_val_v1.json.",
        )
    expect(file, {None, whole, joints}, f"Halpe's annotations of {wanted} keypoints a person")
    stored = int(file.kind.keypoints or joints)
    places = picked if stored == whole else tuple(range(joints))

    def convert(row: Row) -> Iterator[Row]:
        numbers = numbers_of(row, "keypoints", stored)
        chosen = [number for k in places for number in numbers[3 * k : 3 * k + 3]]
        yield recounted(row, chosen)

    return build(file, images, dataset_id, keypoint_set, joints, convert, tolerant=tolerant)


def recounted(row: Row, keypoints: list[Any]) -> Row:
    """Return a row with other keypoints, whose number of labelled ones is counted anew."""
    kept = {key: value for key, value in row.items() if key != "num_keypoints"}
    return kept | {"keypoints": keypoints}

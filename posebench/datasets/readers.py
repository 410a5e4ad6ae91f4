"""Every annotation layout posebench reads, by the name that ``datasets.yaml`` uses."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from posebench.datasets.coco import load_coco
from posebench.datasets.crowdpose import load_crowdpose
from posebench.datasets.halpe import load_halpe
from posebench.datasets.mpii import load_mpii
from posebench.datasets.wholebody import load_hands, load_wholebody
from posebench.types.arrays import Dataset


class Reader(Protocol):
    """Annotation file and image folder -> ``Dataset``; raises ``UserError`` if they do not fit."""

    def __call__(
        self,
        annotations: Path,
        images: Path,
        *,
        dataset_id: str,
        keypoint_set: str,
        tolerant: bool = False,
    ) -> Dataset:
        """Read; what makes the split whole is for the caller to judge."""


READERS: Mapping[str, Reader] = {
    "coco": load_coco,
    "halpe": load_halpe,
    "wholebody": load_wholebody,
    "hands": load_hands,
    "mpii": load_mpii,
    "crowdpose": load_crowdpose,
}

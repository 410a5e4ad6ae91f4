"""Predictions as files beside their annotations, as tools and users leave them."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import make_records
import numpy as np
import random_persons

from posebench.datasets.coco import load_coco
from posebench.records import store
from posebench.records.predictions import digest, save_predictions
from posebench.types.arrays import Dataset, Predictions, Results
from posebench.types.record import BoxInfo
from posebench.types.request import ScoringContext


@dataclass
class Saved:
    """A random sample on disk."""

    folder: Path
    sample: dict
    dataset: Dataset
    results: Results

    @property
    def where(self) -> ScoringContext:
        """Where its annotations are."""
        return self.choosing()

    def choosing(self, **choices) -> ScoringContext:
        """The same with choices made."""
        fields = {f: choices.pop(f) for f in ("limit", "protocol", "dataset") if f in choices}
        asked = {"dataset": "coco", "annotations": self.folder / "annotations.json"} | fields
        return ScoringContext(**asked, choices=choices)

    def results_file(self, rows: list[dict] | None = None, name: str = "results.json") -> Path:
        """Write rows, the sample's own by default, as any tool would."""
        path = self.folder / name
        path.write_text(json.dumps(self.sample["results"] if rows is None else rows))
        return path

    def columns(self, predictions: Predictions | None = None, name: str = "saved.npz") -> Path:
        """Write posebench's own file."""
        path = self.folder / name
        save_predictions(self.results.predictions if predictions is None else predictions, path)
        return path

    def record(self, predictions: Predictions | None = None, name: str = "demo_s", **changes):
        """Write predictions and the record that speaks of them; returns the record's file."""
        raw = self.results.predictions if predictions is None else predictions
        sha256 = digest(raw)
        save_predictions(raw, self.folder / "predictions" / f"predictions-x-{sha256[:8]}.npz")
        fields = {
            "dataset": make_records.dataset(
                id="coco", sample=None, annotations_sha256=self.dataset.annotations_sha256
            ),
            "protocol": make_records.protocol(nms="none", rescoring="none"),
            "boxes": BoxInfo(source="gt", read=9, used=9, kept=9),
            "predictions_sha256": sha256,
        }
        return store.save(make_records.evaluation(name, **(fields | changes)), self.folder)


def save(folder: Path, seed: int = 0, images: int = 12, name: str = "coco_17") -> Saved:
    """Write a random sample of 17 or 133 joints; instance scores are the box scores."""
    sample = random_persons.sample(name, seed, images=images)
    for row in sample["annotations"]:  # as files have it: no one is 0, and labels are counted
        row["id"] = row["id"] or 9999
        row["num_keypoints"] = sum(label > 0 for label in row["keypoints"][2::3])
    results = random_persons.results(sample)
    raw = replace(results.predictions, box_score=results.score.astype(np.float64))
    path = folder / "annotations.json"
    named = [row | {"file_name": f"{row['id']}.jpg"} for row in sample["images"]]
    categories = [{"id": 1, "name": "person"}]
    path.write_text(
        json.dumps(
            {"images": named, "annotations": sample["annotations"], "categories": categories}
        )
    )
    dataset = load_coco(path, folder, dataset_id="coco", keypoint_set=name)
    return Saved(folder, sample, dataset, replace(results, predictions=raw))

"""Comparison: two sets of predictions on the same images, and how sure their order is."""

from __future__ import annotations

import math
from typing import Any

from posebench.types.base import Frozen
from posebench.types.record import DatasetInfo


class Scored(Frozen):
    """A file of predictions, scored.

    Attributes:
        name: The file's name.
        sha256: Digest of the file.
        entry: ``zoo/id`` of the model, where a record says.
        protocol: Field of ``Protocol`` -> how the persons were estimated, selected and scored;
            None where no one knows it.
        boxes: Where the persons come from, as far as the file or its record tells.
        read: Persons in the file that lie on the dataset's images.
        kept: Of them, left after suppression.
        scores: Metric -> value, percent; None where nothing was annotated.
        intervals: Metric -> 95 % interval.
        scorer: Name and version.
        engine: What computed the scores: ``own`` or a referee with its version.
        notes: What a reader should know.
    """

    name: str
    sha256: str
    entry: str | None = None
    protocol: dict[str, Any]
    boxes: str | None = None
    read: int
    kept: int
    dataset: DatasetInfo
    scores: dict[str, float | None]
    intervals: dict[str, tuple[float, float]]
    scorer: str
    engine: str = "own"
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain values for ``json.dumps``."""
        return self.model_dump(mode="json")


class Difference(Frozen):
    """One metric of two sets of predictions.

    Attributes:
        first: Of the first, percent; ``second`` likewise.
        difference: second - first, points.
        interval: 95 % percentile interval of the difference, images drawn for both together.
        p: Two-sided p-value of "no difference".
    """

    metric: str
    first: float
    second: float
    difference: float
    interval: tuple[float, float]
    p: float


class Comparison(Frozen):
    """Two sets of predictions on the same images.

    Attributes:
        differences: One a metric that both have.
        resamples: Draws of images.
        seed: Of the draws.
        forced: What was overlooked because it was asked for, in words.
    """

    first: Scored
    second: Scored
    differences: tuple[Difference, ...]
    resamples: int
    seed: int
    forced: tuple[str, ...] = ()

    def sentence(self) -> str:
        """Say what the first metric's difference is worth."""
        if not self.differences:
            return "Nothing that counts was annotated: there is nothing to compare."
        main = self.differences[0]
        low, high = main.interval
        figures = (
            f"{main.metric} {main.second:.2f} against {main.first:.2f}: {main.difference:+.2f} "
            f"points, 95 % interval {low:+.2f} to {high:+.2f}, p = {main.p:.2g}"
        )
        if math.isclose(main.difference, 0.0, abs_tol=1e-12) and low == high:
            return f"{figures}: the two are equal."
        if low <= 0 <= high:
            return f"{figures}: the images do not tell which of the two is better."
        better = self.second if main.difference > 0 else self.first
        return f"{figures}: {better.entry or better.name} is better."

    def to_json(self) -> dict[str, Any]:
        """Return plain values for ``json.dumps``."""
        return self.model_dump(mode="json") | {"sentence": self.sentence()}

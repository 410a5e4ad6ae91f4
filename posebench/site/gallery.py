"""Best, median and worst persons of an evaluation, drawn: annotation and prediction."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from posebench.keypoints import keypoint_set
from posebench.scoring.oks import Bools
from posebench.site.studies import GalleryItem
from posebench.types.arrays import Dataset, Floats, Ints, Results

if TYPE_CHECKING:
    from posebench.analysis.score import LoadedPredictions

EACH = 4  # persons of a group
SIDE = 320  # longest side of a picture, px
ROOM = 0.12  # around the person, of its extent
# Terms under which a picture may be shown again here. COCO's images carry a licence each, and
# some forbid it, so that nothing is shown of datasets that do not name one of these for all.
FREE = ("Apache-2.0", "CC0-1.0", "CC BY 4.0", "MIT")
QUALITY = 82


def gallery(opened: LoadedPredictions, licence: str) -> tuple[tuple[GalleryItem, ...], str]:
    """Draw the best, the median and the worst persons.

    Args:
        opened: Predictions beside the annotations.
        licence: Of the dataset's images.

    Returns:
        The persons, the best first; and a sentence about the images.
    """
    likeness, row = resemblance(opened)
    persons = np.flatnonzero(~np.isnan(likeness))
    # from best to worst; equal ones in the order of the file
    persons = persons[np.argsort(-likeness[persons], kind="stable")]
    measure = "OKS" if _has_oks(opened) else "joints within half a head"
    shown = tuple(
        _shown(opened, group, int(person), int(row[person]),
               f"{measure} {likeness[person]:.2f}", licence in FREE)
        for group, chosen in _groups(persons)
        for person in chosen
    )  # fmt: skip
    allowed = "are shown" if licence in FREE else "are not shown"
    return shown, f"The dataset's images {allowed}; its terms: {licence}."


def _groups(persons: Ints) -> list[tuple[str, Ints]]:
    count = min(EACH, len(persons) // 3) or min(1, len(persons))
    middle = max(0, len(persons) // 2 - count // 2)
    groups = [
        ("best", persons[:count]),
        ("median", persons[middle : middle + count]),
        ("worst", persons[-count:] if count else persons),
    ]
    return groups if len(persons) >= 3 else groups[:1]


def resemblance(opened: LoadedPredictions) -> tuple[Floats, Ints]:
    """Return how well each annotated person was found.

    Returns:
        (G,) similarity with the best prediction in the image, OKS or for MPII the share of joints
        within half a head; NaN for persons that do not count, 0 where there is no prediction.
        (G,) row of that prediction, -1 for none.
    """
    if _has_oks(opened):
        return _by_oks(opened)
    return _by_heads(opened.results, opened.dataset)


def _has_oks(opened: LoadedPredictions) -> bool:
    from posebench.scoring.evaluator_rules import EVALUATOR_RULES

    return opened.protocol.scorer in EVALUATOR_RULES


def _by_oks(opened: LoadedPredictions) -> tuple[Floats, Ints]:
    from posebench.scoring.evaluator_rules import EVALUATOR_RULES
    from posebench.scoring.keypoint_ap import arrays_of_parts
    from posebench.scoring.oks import similarities

    rules = EVALUATOR_RULES[opened.protocol.scorer]
    area = opened.protocol.result_area
    people = list(arrays_of_parts(opened.results, opened.dataset, rules, area).values())[-1]
    counts = ~people.ignored & people.labelled.any(axis=1)
    truth, found = _same_image(people.truth_image, people.found_image, counts, people.looked_at)
    return _best(len(counts), counts, truth, found, similarities(people, truth, found))


def _by_heads(results: Results, dataset: Dataset) -> tuple[Floats, Ints]:
    """MPII: each person was estimated at its own annotation, so that ids say who is who."""
    from posebench.scoring.pckh import FIRST_PIXEL, HEAD_SHARE

    truth, predictions = dataset.truth, results.predictions
    labelled: Bools = truth.keypoints[..., 2] > 0
    counts: Bools = np.any(labelled, axis=1)
    place = {int(person): row for row, person in enumerate(predictions.person_id)}
    rows = np.array([place.get(int(person), -1) for person in truth.id], np.int64)
    known = np.flatnonzero(counts & (rows >= 0))
    apart = truth.keypoints[known, :, :2] - FIRST_PIXEL - predictions.keypoints[rows[known]]
    heads = np.ones(len(truth)) if truth.head_size is None else truth.head_size
    near = np.hypot(apart[..., 0], apart[..., 1]) <= 0.5 * HEAD_SHARE * heads[known, None]
    share = (near & labelled[known]).sum(axis=1) / labelled[known].sum(axis=1)
    return _best(len(counts), counts, known, rows[known], share)


def _same_image(
    truth_image: Ints, found_image: Ints, counts: Bools, looked_at: Bools
) -> tuple[Ints, Ints]:
    """Rows of all pairs of a person that counts and a detection in the same image."""
    by_image: dict[int, list[int]] = {}
    for row in np.flatnonzero(looked_at):
        by_image.setdefault(int(found_image[row]), []).append(int(row))
    pairs = [
        (int(person), row)
        for person in np.flatnonzero(counts)
        for row in by_image.get(int(truth_image[person]), ())
    ]
    table = np.array(pairs, np.int64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def _best(
    count: int, counts: Bools, truth: Ints, found: Ints, likeness: Floats
) -> tuple[Floats, Ints]:
    best = np.where(counts, 0.0, np.nan)
    row = np.full(count, -1, np.int64)
    for person, candidate, value in zip(truth, found, likeness, strict=True):
        if row[person] < 0 or value > best[person]:
            best[person], row[person] = value, candidate
    return best, row


def _shown(
    opened: LoadedPredictions, group: str, person: int, row: int, words: str, with_image: bool
) -> GalleryItem:
    dataset = opened.dataset
    truth = dataset.truth.keypoints[person].copy()
    if not _has_oks(opened):
        truth[:, :2] -= 1  # MPII counts pixels from one
    found = opened.results.predictions.keypoints[row] if row >= 0 else None
    image = int(np.flatnonzero(dataset.images.id == dataset.truth.image_id[person])[0])
    extent = _extent(truth, found, dataset, image)
    name = f"{words}, image {dataset.images.file_name[image]}"
    return GalleryItem(
        group=group,
        words=name if found is not None else f"{name}, not found",
        drawing=draw(dataset.keypoint_set, truth, found, extent),
        size=(extent[2] - extent[0], extent[3] - extent[1]),
        image=_picture(dataset, image, extent) if with_image else None,
    )


def _extent(
    truth: Floats, found: Floats | None, dataset: Dataset, image: int
) -> tuple[int, int, int, int]:
    """Left, top, right and bottom px around both skeletons, inside the image where it is known."""
    points = truth[truth[:, 2] > 0, :2]
    if found is not None:
        points = np.concatenate([points, found])
    low, high = points.min(axis=0), points.max(axis=0)
    room = max(8.0, ROOM * float((high - low).max()))
    left, top = np.floor(low - room).astype(int)
    right, bottom = np.ceil(high + room).astype(int)
    width, height = _image_size(dataset, image)
    if width and height:
        left, top = max(0, min(left, width - 2)), max(0, min(top, height - 2))
        right, bottom = max(left + 2, min(right, width)), max(top + 2, min(bottom, height))
    return int(left), int(top), int(right), int(bottom)


def _image_size(dataset: Dataset, image: int) -> tuple[int, int]:
    """Width and height, px; MPII's list does not say them. Zeros where no one knows."""
    width, height = int(dataset.images.width[image]), int(dataset.images.height[image])
    if width and height:
        return width, height
    pixels = _read(dataset, image)
    return (0, 0) if pixels is None else (pixels.shape[1], pixels.shape[0])


def draw(
    keypoints: str, truth: Floats, found: Floats | None, extent: tuple[int, int, int, int]
) -> Markup:
    """Draw both skeletons.

    Args:
        keypoints: Name of the keypoint set.
        truth: (K, 3) px and visibility, annotated.
        found: (K, 2) px, predicted; None for nobody.
        extent: Left, top, right and bottom of the picture, px.

    Returns:
        SVG; the annotation has the class ``truth``, the prediction ``found``.
    """
    left, top, right, bottom = extent
    unit = max(right - left, bottom - top) / SIDE
    labelled = truth[:, 2] > 0
    body = _skeleton("truth", keypoints, truth[:, :2], labelled, unit)
    if found is not None:
        # where nothing is annotated, there is nothing to compare with
        body += _skeleton("found", keypoints, found, labelled, unit)
    label = "Skeletons of annotation and prediction" if found is not None else "Annotated skeleton"
    return Markup(
        f'<svg class="people" viewBox="{left} {top} {right - left} {bottom - top}" role="img" '
        f'aria-label="{label}">{body}</svg>'
    )


def _skeleton(kind: str, name: str, xy: Floats, shown: Bools, unit: float) -> str:
    known = keypoint_set(name)
    dense = len(known) > 30
    wide = (1.0 if dense else 2.4) * unit
    bones = "".join(
        f'<line x1="{xy[a, 0]:.1f}" y1="{xy[a, 1]:.1f}" x2="{xy[b, 0]:.1f}" y2="{xy[b, 1]:.1f}"/>'
        for a, b in known.skeleton
        if shown[a] and shown[b]
    )
    dots = "".join(
        f'<circle cx="{xy[k, 0]:.1f}" cy="{xy[k, 1]:.1f}" r="{1.2 * wide:.2f}">'
        f"<title>{escape(known.names[k].replace('_', ' '))}</title></circle>"
        for k in np.flatnonzero(shown)
    )
    return f'<g class="{kind}" stroke-width="{wide:.2f}">{bones}{dots}</g>'


def _picture(dataset: Dataset, image: int, extent: tuple[int, int, int, int]) -> bytes | None:
    import cv2

    pixels = _read(dataset, image)
    if pixels is None:
        return None
    left, top, right, bottom = extent
    part: Any = pixels[top:bottom, left:right]
    scale = SIDE / max(part.shape[:2])
    if scale < 1:
        part = cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    done, data = cv2.imencode(".jpg", part, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return data.tobytes() if done else None


@lru_cache(maxsize=4)
def _read(dataset: Dataset, image: int) -> NDArray[np.uint8] | None:
    """Pixels (H, W, 3) as OpenCV reads them; None where there is no image that can be read."""
    from posebench.inference.image_io import BadImage, read_image

    try:
        return read_image(dataset.images.path(image), "apply")
    except BadImage:
        return None

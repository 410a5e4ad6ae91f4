"""Keypoint AP once more, person by person and as plainly as it can be written.

Nothing of posebench is imported.  Rows are COCO's, keypoints in one flat list; what evaluators do
differently are arguments.
"""

from __future__ import annotations

import math

import numpy as np

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)
RANGES = ((0, 1e10), (32**2, 96**2), (96**2, 1e10))


def evaluate(sample, part, sigmas, ignored, dropped, unmatchable, body, dtype=np.float64):
    """Precision (10, 101, 3), recall (10, 3) and scores (10, 101, 3) of one part.

    ``ignored(row, labels)`` says whether a person is left out, ``dropped(scores, part_scores)``
    whether a detection is, ``unmatchable(id)`` whether a person's id reads as nobody; ``body``
    joints span a detection's area.
    """
    images = sorted(image["id"] for image in sample["images"])
    shape = len(THRESHOLDS), len(RECALLS), len(RANGES)
    precision, scores = -np.ones(shape), -np.ones(shape)
    recall = -np.ones((len(THRESHOLDS), len(RANGES)))
    sides = []
    for image in images:
        people = [
            _person(r, part, ignored, dtype)
            for r in sample["annotations"]
            if r["image_id"] == image
        ]
        found = [_found(r, part, body, dtype) for r in sample["results"] if r["image_id"] == image]
        found = [each for each in found if not dropped(each["all_scores"], each["scores"])]
        found = sorted(found, key=lambda each: -each["score"])[:20]
        table = [[_oks(each, person, sigmas, dtype) for person in people] for each in found]
        sides.append((people, found, table))
    for area, (low, high) in enumerate(RANGES):
        count = sum(_counts(p, low, high) for people, _, _ in sides for p in people)
        if not count:
            continue
        for t, threshold in enumerate(THRESHOLDS):
            marks = []
            for side in sides:
                marks += _marks(*side, threshold, low, high, unmatchable)
            marks.sort(key=lambda mark: -mark[0])
            curve = _curve(marks, count)
            precision[t, :, area], scores[t, :, area], recall[t, area] = curve
    return precision, recall, scores


def _person(row, part, ignored, dtype):
    flat = np.array(row["keypoints"], dtype).reshape(-1, 3)[part]
    labels = [v > 0 for v in np.array(row["keypoints"])[2::3][part]]
    return row | {"xy": flat[:, :2], "labels": labels, "out": ignored(row, labels)}


def _found(row, part, body, dtype):
    flat = np.array(row["keypoints"]).reshape(-1, 3)
    size = flat[:body, :2].max(axis=0) - flat[:body, :2].min(axis=0)
    xy = flat[part, :2].astype(dtype)
    scores = {"all_scores": flat[:, 2], "scores": flat[part, 2]}
    return row | scores | {"xy": xy, "area": size[0] * size[1]}


def _oks(found, person, sigmas, dtype):
    x, y, w, h = person["bbox"]
    corners = np.array([[x - w, y - h], [x + 2 * w, y + 2 * h]]).astype(dtype)
    anybody = any(person["labels"])
    terms = []
    for k, sigma in enumerate(sigmas):
        if anybody and not person["labels"][k]:
            continue
        if anybody:
            dx, dy = found["xy"][k] - person["xy"][k]
        else:
            below, above = corners[0] - found["xy"][k], found["xy"][k] - corners[1]
            dx, dy = np.maximum(below, 0).astype(float) + np.maximum(above, 0).astype(float)
        squared = float(dx**2 + dy**2)
        error = squared / (sigma * 2) ** 2 / (person["area"] + math.ulp(1.0)) / 2
        terms.append(error)
    return np.sum(np.exp(-np.array(terms))) / len(terms)


def _counts(person, low, high):
    return not person["out"] and low <= person["area"] <= high


def _marks(people, found, table, threshold, low, high, unmatchable):
    """(score, hit, false alarm) of each detection of an image."""
    taken = set()
    marks = []
    for each, row in zip(found, table, strict=True):
        best, at = None, None
        for wanted in (True, False):  # persons that count come first
            for k, person in enumerate(people):
                if _counts(person, low, high) is not wanted:
                    continue
                if k in taken and not person["iscrowd"]:
                    continue
                if row[k] >= min(threshold, 1 - 1e-10) and (best is None or row[k] >= best):
                    best, at = row[k], k
            if at is not None:
                break
        taken.add(at)
        matched = at is not None and not unmatchable(people[at]["id"])
        neither = at is not None and not _counts(people[at], low, high)
        neither = neither or (not matched and not low <= each["area"] <= high)
        marks.append((each["score"], matched and not neither, not matched and not neither))
    return marks


def _curve(marks, count):
    hits, misses, points = 0, 0, []
    for score, hit, miss in marks:
        hits, misses = hits + hit, misses + miss
        points.append((hits / count, hits / (misses + hits + math.ulp(1.0)), score))
    precision, scores = [], []
    for wanted in RECALLS:
        reached = [k for k, point in enumerate(points) if point[0] >= wanted]
        precision.append(max((points[k][1] for k in reached), default=0.0))
        scores.append(points[reached[0]][2] if reached else 0.0)
    return precision, scores, points[-1][0] if points else 0.0

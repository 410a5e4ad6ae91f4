"""AlphaPose's merging of persons, joint by joint; posebench is not imported.

A person is a dict with points [(x, y)], scores [s], side (longer box side) and box (its score).
"""

from __future__ import annotations

import math

HEATMAP = {
    "delta1": 1,
    "mu": 1.7,
    "delta2": 2.65,
    "gamma": 22.48,
    "score": 0.3,
    "match": 5,
    "alpha": 0.1,
}
INTEGRAL = {
    "delta1": 1.0,
    "mu": 1.65,
    "delta2": 8.0,
    "gamma": 3.6,
    "score": 0.01,
    "match": 3.0,
    "alpha": 0.15,
}


def distance(a, b):
    return math.sqrt((a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2)


def body_similarity(one, other, c):
    total = 0.0
    for p, q, s, t in zip(
        one["points"], other["points"], one["scores"], other["scores"], strict=True
    ):
        d = distance(p, q)
        if d <= 1:
            total += math.tanh(s / c["delta1"]) * math.tanh(t / c["delta1"])
        total += c["mu"] * math.exp(-d / c["delta2"])
    return total


def body_matches(one, other, left, c):
    reach = min(c["alpha"] * one["side"], 7)
    return sum(distance(p, q) <= reach for p, q in zip(one["points"], other["points"], strict=True))


def part(joint, joints):
    """Face: the 68 before the last 42; hands: the last 42."""
    return "hands" if joint >= joints - 42 else "face" if joint >= joints - 110 else "body"


def full_body_similarity(one, other, c):
    joints = len(one["points"])
    factor = {"body": 1.0, "face": 1.9, "hands": 0.55}
    by_score = {"body": [], "face": [], "hands": []}
    by_distance = {"body": [], "face": [], "hands": []}
    for k in range(joints):
        where = part(k, joints)
        d = distance(one["points"][k], other["points"][k])
        s, t = one["scores"][k], other["scores"][k]
        weak = t < c["score"]
        agree = math.tanh(s / c["delta1"]) * math.tanh(t / c["delta1"])
        by_score[where].append(agree if d <= 1 and weak else 0.0)
        by_distance[where].append(0.0 if weak else math.exp(-d / (c["delta2"] * factor[where])))
    mean = {name: sum(values) / len(values) for name, values in by_score.items()}
    near = {name: sum(values) / len(values) for name, values in by_distance.items()}
    return (
        mean["body"]
        + mean["face"]
        + 0.1 * mean["hands"]
        + c["mu"] * (near["body"] + near["face"] + 1.5 * near["hands"])
    )


def full_body_matches(one, other, left, c):
    """Counted in Halpe's places for every set, over all who are left."""
    joints = len(one["points"])
    sure = sum(s > c["score"] / 2 for s in one["scores"])
    if sure == 0:
        return 0
    reach = min(c["alpha"] * one["side"], 7)
    count = 0
    for k in range(joints):
        factor = 1.0 if k < 26 else 1.9 if k < 94 else 0.55
        count += distance(one["points"][k], other["points"][k]) <= factor * reach
    return count * joints / (4 * left * sure)


def merge(best, cluster, c):
    reach = min(c["alpha"] * best["side"], 15)
    points, scores = [], []
    for k, place in enumerate(best["points"]):
        near = [p for p in cluster if distance(place, p["points"][k]) <= reach]
        total = sum(p["scores"][k] for p in near)
        points.append(
            [sum(p["points"][k][axis] * p["scores"][k] for p in near) / total for axis in (0, 1)]
        )
        scores.append(sum(p["scores"][k] ** 2 for p in near) / total)
    return points, scores


def pose_nms(people, c, full_body):
    """Persons of one image -> [(row, points, joint scores, instance score)], best first."""
    people = [
        dict(person, row=row, scores=[s if s != 0 else 1e-5 for s in person["scores"]])
        for row, person in enumerate(people)
    ]
    similarity = full_body_similarity if full_body else body_similarity
    matches = full_body_matches if full_body else body_matches
    rest, kept = people, []
    while rest:
        best = max(rest, key=lambda person: sum(person["scores"]) / len(person["scores"]))
        cluster = [
            person
            for person in rest
            if person is best
            or similarity(best, person, c) > c["gamma"]
            or matches(best, person, len(rest), c) >= c["match"]
        ]
        rest = [person for person in rest if not any(person is member for member in cluster)]
        if max(best["scores"]) < c["score"]:
            continue
        points, scores = merge(best, cluster, c)
        if max(scores) < c["score"]:
            continue
        total = best["box"] + sum(scores) / len(scores) + 1.25 * max(scores)
        kept.append((best["row"], points, scores, total))
    return kept

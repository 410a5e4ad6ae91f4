"""A known number of each error, put into perfect predictions, is found again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from posebench.keypoints import keypoint_set
from posebench.scoring.accumulate import evaluate
from posebench.scoring.diagnosis import (
    ERRORS,
    KINDS,
    correct,
    crowding,
    find_errors,
    recalls,
)
from posebench.scoring.evaluator_rules import EVALUATOR_RULES
from posebench.scoring.keypoint_ap import arrays_of_parts
from posebench.types.arrays import Dataset, GroundTruth, Images, Predictions, Results

SETS = [
    ("coco_17", "coco_oks"),
    ("halpe_26", "coco_oks"),
    ("wholebody_133", "wholebody_oks"),
    ("halpe_136", "halpe_oks"),
]
SIDE, STEP, ACROSS = 400.0, 100.0, 3000.0
MOST = 20


class Scene:
    """Persons two an image, far apart; joints so far apart that none is near another's place."""

    def __init__(self, name, scorer, images=30, seed=0):
        self.name, self.scorer = name, scorer
        self.set = keypoint_set(name)
        self.generator = np.random.default_rng(seed)
        joints = len(self.set)
        rows = int(np.ceil(np.sqrt(joints)))
        grid = np.stack(np.divmod(np.arange(joints), rows), axis=1) * STEP
        persons = 2 * images
        corner = np.zeros((persons, 2))
        corner[1::2, 0] = ACROSS
        self.xy = corner[:, None] + grid + 50
        self.image = np.repeat(np.arange(images) + 1, 2)
        self.label = np.full((persons, joints), 2.0)
        self.label[:, 1:][self.generator.uniform(size=(persons, joints - 1)) < 0.2] = 0
        self.area = np.full(persons, SIDE)
        self.corner, self.side = corner, rows * STEP
        # The predictions: one of each person, exact; scores all different.
        self.found, self.at = self.xy.copy(), self.image.copy()
        self.score = self.generator.permutation(persons) / persons

    def far(self, similarity, joint):
        """Distance at which a joint has a similarity."""
        sigma = EVALUATOR_RULES[self.scorer].sigmas(self.set)[joint]
        return np.sqrt(-2 * np.log(similarity) * SIDE) * 2 * sigma

    def add(self, xy, image, score):
        self.found = np.concatenate([self.found, np.asarray(xy)[None]])
        self.at = np.append(self.at, image)
        self.score = np.append(self.score, score)

    def drop(self, rows):
        self.found, self.at = np.delete(self.found, rows, 0), np.delete(self.at, rows)
        self.score = np.delete(self.score, rows)

    def dataset(self):
        size = len(self.image)
        truth = GroundTruth(
            id=np.arange(size) + 1,
            image_id=self.image,
            box=np.concatenate([self.corner, np.full((size, 2), self.side)], axis=1),
            area=self.area,
            keypoints=np.concatenate([self.xy, self.label[..., None]], axis=2),
            num_keypoints=(self.label > 0).sum(axis=1),
            crowd=np.zeros(size, np.bool_),
            ignore=np.zeros(size, np.bool_),
        )
        ids = np.unique(self.image)
        table = Images(ids, ("x",) * len(ids), *np.full((2, len(ids)), 4000), root=Path())
        return Dataset("made", self.name, table, truth, 1, "made.json", "", complete=False)

    def results(self):
        count, joints = self.found.shape[:2]
        predictions = Predictions(
            keypoints=self.found.astype(np.float32),
            joint_scores=np.ones((count, joints), np.float32),
            box=np.zeros((count, 4)),
            box_score=np.ones(count),
            crop_area=np.ones(count),
            image_id=self.at,
            person_id=np.arange(count),
            keypoint_set=self.name,
        )
        return Results(predictions, self.score, np.ones(count, np.bool_))

    def parts(self):
        return arrays_of_parts(self.results(), self.dataset(), EVALUATOR_RULES[self.scorer])

    def errors(self):
        people = list(self.parts().values())[-1]
        matches = evaluate(people, MOST).matches
        return find_errors(people, matches, self.set.flip_index(), MOST), people

    def inject(self, counts):
        """Put errors of joints in at random labelled joints; returns kind by person and joint."""
        mirror = np.array(self.set.flip_index())
        there = self.label > 0
        partner = np.arange(len(self.image)) ^ 1
        kinds = np.where(there, 0, -1)
        order = self.generator.permutation(np.argwhere(there))
        paired = mirror[order[:, 1]] != order[:, 1]
        paired &= there[order[:, 0], mirror[order[:, 1]]]
        other = there[partner[order[:, 0]], order[:, 1]]
        fits = {"jitter": other | True, "miss": other | True, "inversion": paired, "swap": other}
        # At most a third of a person's joints, so that he stays the one who is meant.
        room = np.full(len(self.image), len(self.set) // 3)
        for kind, count in counts.items():
            for person, joint in order[fits[kind]]:
                if count and kinds[person, joint] == 0 and room[person]:
                    kinds[person, joint] = KINDS.index(kind)
                    room[person] -= 1
                    count -= 1
                    self.found[person, joint] = self._wrong(kind, person, joint, mirror)
            assert not count, f"no room for all of {kind}"
        return kinds

    def _wrong(self, kind, person, joint, mirror):
        own = self.xy[person, joint]
        angle = self.generator.uniform(0, 2 * np.pi)
        turn = np.array([np.cos(angle), np.sin(angle)])
        if kind == "jitter":
            return own + turn * self.far(self.generator.uniform(0.52, 0.83), joint)
        if kind == "miss":
            return own + np.array([0.0, ACROSS + 500 * self.generator.uniform()])
        target = (
            self.xy[person, mirror[joint]] if kind == "inversion" else self.xy[person ^ 1, joint]
        )
        return target + turn * self.far(self.generator.uniform(0.55, 0.99), joint)


def counted(errors):
    return {name: int((errors.kind == k).sum()) for k, name in enumerate(KINDS)}


@pytest.mark.parametrize(("name", "scorer"), SETS)
def test_joint_errors_are_recovered_exactly(name, scorer):
    scene = Scene(name, scorer)
    wanted = {"jitter": 31, "inversion": 17, "swap": 23, "miss": 29}
    expected = scene.inject(wanted)
    errors, _ = scene.errors()
    assert np.array_equal(np.sort(errors.truth), np.arange(len(scene.image)))
    assert np.array_equal(errors.kind, expected[errors.truth])
    assert counted(errors) == wanted | {"good": int((scene.label > 0).sum()) - 100}


@pytest.mark.parametrize(("name", "scorer"), SETS)
def test_persons_and_detections_without_each_other_are_recovered_exactly(name, scorer):
    scene = Scene(name, scorer)
    away = scene.xy[0] + [1500.0, 5000.0]
    for image in (1, 1, 4):  # of nobody
        scene.add(away + scene.generator.uniform(0, 900), image, 0.5)
    for person in (6, 9, 10, 11):  # a second one of somebody, scored below the first
        scene.add(scene.found[person], scene.image[person], scene.score[person] / 2)
    better, worse = [20, 25], scene.found[[20, 25]].copy()
    worse[:, :, 0] += scene.far(0.6, np.arange(len(scene.set)))
    for person, xy in zip(better, worse, strict=True):  # the worse one scored above the better one
        scene.add(xy, scene.image[person], scene.score[person] + 2)
    scene.drop([30, 31, 37])
    errors, _ = scene.errors()
    assert errors.background.sum() == 3
    assert set(np.flatnonzero(errors.missing)) == {30, 31, 37}
    assert set(np.flatnonzero(errors.misranked)) == set(better)
    # The better one of two is a hit where the worse one is none: no mere duplicate.
    assert errors.duplicate.sum() == 4
    assert errors.looked_at == len(scene.image) - 3 + 3 + 4 + 2


def test_who_does_not_count_excuses_a_detection_that_finds_him():
    """Close to him it is not a false alarm; away from him, or closer to somebody, it is one."""
    scene = Scene("coco_17", "coco_oks")
    scene.label[[2, 3, 5]] = 0  # nothing labelled: compared by the box, enlarged by its size
    scene.found[3] = scene.corner[3] + scene.side / 2
    scene.found[3, :, 0] += 1.5 * scene.side + scene.far(0.3, np.arange(17))
    scene.score[3] = 2.0
    scene.add(scene.found[0], 1, 1.5)
    scene.score[0] = 3.0
    errors, people = scene.errors()
    assert list(np.flatnonzero(people.ignored)) == [2, 3, 5]
    assert list(np.flatnonzero(errors.background)) == [3]
    assert list(np.flatnonzero(errors.duplicate)) == [len(scene.image)]
    assert not errors.missing.any()
    mended = correct(people, slice(None), people, errors, ("background", "duplicate"), MOST)
    assert evaluate(people, MOST).values["AP"] < 99 < mended["AP"] == pytest.approx(100.0)


def test_nothing_is_wrong_with_perfect_predictions():
    errors, people = Scene("coco_17", "coco_oks").errors()
    assert not any(counted(errors)[kind] for kind in KINDS[1:])
    assert not (errors.background.any() or errors.duplicate.any() or errors.missing.any())
    assert not errors.misranked.any()
    for error in ERRORS:
        assert ap(people, errors, error) == pytest.approx(100.0)


def with_errors(name="coco_17", scorer="coco_oks"):
    scene = Scene(name, scorer, seed=3)
    scene.inject({"jitter": 40, "inversion": 40, "swap": 40, "miss": 40})
    away = scene.xy[0] + [1500.0, 5000.0]
    for image in range(1, 11):
        scene.add(away, image, 2.0)
    for person in range(20, 30):
        # Half its joints lost: hardly somebody, and scored above the good one.
        bad = scene.found[person].copy()
        bad[::2] += 700
        scene.add(bad, scene.image[person], 1.5)
    scene.drop([0, 3])
    return scene


@pytest.mark.parametrize(("name", "scorer"), SETS)
def test_all_mended_is_perfect_at_half_the_similarity(name, scorer):
    scene = with_errors(name, scorer)
    errors, people = scene.errors()

    def scores(*kinds):
        return correct(people, slice(None), people, errors, kinds, MOST)

    assert scores()["AP50"] < 85
    assert scores() == pytest.approx(evaluate(people, MOST).values, nan_ok=True)
    together = [scores(*ERRORS[:k])["AP"] for k in range(len(ERRORS) + 1)]
    assert all(np.diff(together) > -1e-9)
    assert scores(*ERRORS)["AP50"] == pytest.approx(100.0)


def ap(people, errors, *kinds):
    return correct(people, slice(0, 17), people, errors, kinds, MOST)["AP"]


@pytest.mark.parametrize("kind", [error for error in ERRORS if error != "score"])
def test_mending_what_there_is_helps_and_what_there_is_not_changes_nothing(kind):
    scene = Scene("coco_17", "coco_oks", seed=5)
    if kind in KINDS:
        scene.inject({kind: 120})
    elif kind == "background":
        scene.add(scene.xy[0] + [1500.0, 5000.0], 1, 2.0)
    elif kind == "false negative":
        scene.drop([4])
    else:
        scene.add(scene.found[8], scene.image[8], scene.score[8] / 2)
        scene.score[9] = -2.0
    errors, people = scene.errors()
    before = ap(people, errors)
    assert before < 99.9
    for other in ERRORS:
        gain = ap(people, errors, other) - before
        if other == kind:
            assert gain > 0.05
        elif other != "score":  # the ranking matters wherever detections differ
            assert gain == pytest.approx(0.0, abs=1e-9), other


def test_mending_scores_sorts_the_bad_behind_the_good():
    scene = Scene("coco_17", "coco_oks")
    scene.label[:] = 2
    bad = np.arange(10)
    scene.found[bad, :, 0] += scene.far(0.3, np.arange(17))
    scene.score[bad] += 2.0
    errors, people = scene.errors()
    count = len(scene.image)
    # Ten false alarms before fifty hits, and after them.
    hits = np.arange(1, count - 9)
    exact = np.maximum.accumulate((hits / (hits + 10))[::-1])[::-1]
    recall = np.searchsorted(hits / count, np.linspace(0, 1, 101))
    expected = 100 * np.append(exact, 0.0)[recall].mean()
    assert ap(people, errors) == pytest.approx(expected, abs=1e-6)
    reached = (np.linspace(0, 1, 101) <= (count - 10) / count).mean()
    assert ap(people, errors, "score") == pytest.approx(100 * reached)


def test_scores_are_mended_once_joints_are():
    """Mended, the inverted one is closer than the second detection of somebody else."""
    scene = Scene("coco_17", "coco_oks")
    scene.label[:] = 2
    mirror = np.array(scene.set.flip_index())
    scene.found[0, :11] = scene.xy[0, mirror[:11]]  # OKS 7 / 17
    scene.add(scene.found[8], scene.image[8], 2.0)
    scene.found[-1, :, 0] += scene.far(0.45, np.arange(17))
    errors, people = scene.errors()
    assert counted(errors)["inversion"] == 10
    for kinds, perfect in ((("score",), False), (("inversion", "score"), True)):
        found = correct(people, slice(None), people, errors, kinds, MOST)["AP50"]
        assert (found > 100 - 1e-6) == perfect


def test_a_joint_at_the_mirrored_place_of_somebody_else_is_a_swap():
    scene = Scene("coco_17", "coco_oks", images=2)
    scene.label[:] = 2
    mirror = scene.set.flip_index()
    scene.found[0, 9] = scene.xy[1, mirror[9]]
    errors, _ = scene.errors()
    assert counted(errors)["swap"] == 1 and counted(errors)["miss"] == 0


def test_a_part_is_mended_by_its_own_joints():
    scene = Scene("wholebody_133", "wholebody_oks")
    scene.found[:, 91:112] += 2000.0  # every left hand is lost
    errors, whole = scene.errors()
    parts = scene.parts()
    places = {p.name: p.joints for p in EVALUATOR_RULES["wholebody_oks"].parts(scene.set)}

    def scores(name, *kinds):
        return correct(parts[name], places[name], whole, errors, kinds, MOST)

    for name in ("body", "righthand"):
        assert scores(name)["AP"] == pytest.approx(100.0)
    assert scores("lefthand")["AP"] == scores("lefthand", "jitter")["AP"] == 0.0
    mended = scores("lefthand", "miss", "score")
    assert mended["AP50"] == pytest.approx(100.0)
    assert mended["AP75"] == 0.0


def test_mended_joints_lie_at_their_similarity():
    scene = Scene("coco_17", "coco_oks")
    scene.inject({"jitter": 30, "miss": 30, "swap": 30})
    errors, people = scene.errors()
    area, sigmas = people.truth_area[errors.truth, None], people.sigmas
    apart = np.linalg.norm(errors.mended - people.truth_xy[errors.truth], axis=2)
    similarity = np.exp(-(apart**2) / (2 * area * (2 * sigmas) ** 2))
    assert similarity[errors.kind == KINDS.index("jitter")] == pytest.approx(0.85)
    assert similarity[errors.kind == KINDS.index("miss")] == pytest.approx(0.5)
    swapped = similarity[errors.kind == KINDS.index("swap")]
    assert (swapped > 0.54).all() and (swapped < 0.995).all() and swapped.std() > 0.05
    stay = errors.kind <= 0
    assert np.array_equal(errors.mended[stay], people.found_xy[errors.row][stay])


def test_joints_on_the_bounds():
    """0.85 is good, 0.5 is jitter: the bounds belong to the better kind."""
    scene = Scene("coco_17", "coco_oks", images=2)
    scene.label[:] = 2
    joints = [
        (0, "good", 0.8501),
        (1, "jitter", 0.8499),
        (2, "jitter", 0.5001),
        (3, "miss", 0.4999),
    ]
    for joint, _, similarity in joints:
        scene.found[0, joint, 0] += scene.far(similarity, joint)
    errors, _ = scene.errors()
    kind = errors.kind[list(errors.truth).index(0)]
    assert [KINDS[kind[joint]] for joint, *_ in joints] == [name for _, name, _ in joints]


def test_a_joint_without_another_side_cannot_be_inverted():
    scene = Scene("coco_17", "coco_oks", images=2)
    scene.found[0, 0] += scene.far(0.6, 0) * np.array([1.0, 0.0])
    errors, _ = scene.errors()
    assert counted(errors)["inversion"] == 0 and counted(errors)["jitter"] == 1


def test_crowding_counts_boxes_that_overlap_by_a_tenth():
    scene = Scene("coco_17", "coco_oks", images=2)
    _, people = scene.errors()
    assert crowding(people).tolist() == [0, 0, 0, 0]
    side = scene.side
    # 0 and 1 share 20 % of their union, 2 and 3 only 5 %.
    scene.corner[:] = [[0, 0], [side * 2 / 3, 0], [0, 0], [side * 0.905, 0]]
    _, people = scene.errors()
    assert crowding(people).tolist() == [1, 1, 0, 0]
    crowd = people.crowd.copy()
    crowd[1] = True
    object.__setattr__(people, "crowd", crowd)
    assert crowding(people).tolist() == [0, 1, 0, 0]


def test_recall_of_each_person():
    scene = Scene("coco_17", "coco_oks", images=2)
    scene.label[:] = 2
    # The same similarity at every joint is the person's OKS: 0.72 reaches five of ten thresholds.
    scene.found[1, :, 0] += scene.far(0.72, np.arange(17))
    scene.drop([2])
    _, people = scene.errors()
    found = recalls(people, evaluate(people, MOST).matches)
    assert found == pytest.approx([1.0, 0.5, 0.0, 1.0])

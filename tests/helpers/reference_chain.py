"""The chain of every zoo, from an image and a person to joints and scores; nothing of posebench.

A recipe is what the zoo's own code does under one of its published protocols.  ``shift``,
``merge`` and ``split`` are for what nobody does: a quirk dropped, to see that it moves the output.
"""

from __future__ import annotations

import math
from itertools import groupby
from pathlib import Path

import cv2
import numpy as np
import reference_boxes
import reference_keypoints
import reference_steps
import torch

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
# The mean is that of OpenCV's channel order, but the channels are red, green, blue.
NO_STD = {"mean": (0.406, 0.457, 0.480), "std": None}

HRNET = {
    **IMAGENET,
    "colour": "rgb",
    "exif": False,
    "boxes": "detected",
    "pixel_std": 200,
    "crop": "hrnet",
    "flip": True,
    "decode": "quarter",
    "bias": 0,
    "score": "visible",
    "threshold": 0.2,
    "suppress": "oks",
}
MPII = {**HRNET, "boxes": "mpii", "holds": np.float64, "score": "none", "suppress": "none"}
PADDLE = {**HRNET, "boxes": "annotated", "clean": "before"}
GLUON = {
    **PADDLE,
    "exif": True,
    "clean": "after",
    "pixel_std": 1,
    "threshold": 0,
    "suppress": "none",
}
GLUON_ALPHA = {**GLUON, **NO_STD, "crop": "whole pixels", "dummy": True}
ALPHAPOSE = {
    **HRNET,
    **NO_STD,
    "exif": True,
    "pixel_std": 1,
    "score": "alphapose",
    "weight": 1.25,
    "suppress": "none",
}

RECIPES = {
    "hrnet_det56@1": HRNET,
    "lpn_det56@1": {**HRNET, "decode": "softargmax", "colour": "bgr"},
    "hrnet_mpii@1": {**MPII, "colour": "bgr"},  # FPD's hourglass and LPN's Simple Baselines
    "lpn_mpii@1": {**MPII, "decode": "softargmax", "bias": 1},
    "paddle_gt_quarter@1": PADDLE,
    "paddle_gt_dark3@1": {**PADDLE, "decode": "dark"},
    "paddle_mpii_dark3@1": {**MPII, "decode": "dark", "holds": np.float32},
    "tinypose_gt@1": {**PADDLE, "decode": "dark", "crop": "udp"},
    "gluon_gt_flip@1": GLUON,
    "gluon_gt_noflip@1": {**GLUON, "flip": False},
    "gluon_alpha_gt_flip@1": GLUON_ALPHA,
    "gluon_alpha_gt_noflip@1": {**GLUON_ALPHA, "flip": False},
    "alphapose_coco_2019@1": {**ALPHAPOSE, "weight": 1.0},
    "alphapose_coco_2020@1": {**ALPHAPOSE, "score": "visible", "suppress": "oks"},
    "alphapose_coco_2022@1": ALPHAPOSE,
    "alphapose_halpe_26_2022@1": ALPHAPOSE,
    "alphapose_halpe_2022_heatmap@1": ALPHAPOSE,
    "alphapose_halpe_2022_integral@1": {**ALPHAPOSE, "decode": "integral"},
    "alphapose_halpe_2022_combined@1": {**ALPHAPOSE, "decode": "combined"},
    "alphapose_wholebody_2022_integral@1": {**ALPHAPOSE, "decode": "integral"},
    "alphapose_wholebody_2022_combined@1": {**ALPHAPOSE, "decode": "combined"},
    "alphapose_noface_2022@1": {**ALPHAPOSE, "decode": "combined"},
    "alphapose_hand_2022@1": {
        **ALPHAPOSE,
        "decode": "integral",
        "boxes": "annotated",
        "clean": "after",
    },
    # AlphaPose's other run, on annotated boxes, which it prints beside every number.
    "alphapose_halpe_annotated": {
        **ALPHAPOSE,
        "decode": "combined",
        "boxes": "annotated",
        "clean": "visible",
    },
    "demo_gt_flip@1": PADDLE,
    "demo_gt_noflip@1": {**PADDLE, "flip": False},
    "demo_det_flip@1": HRNET,
}

DECODERS = {
    "mean": lambda joint: reference_steps.decode_softargmax(joint, step=False),
    "quarter": reference_steps.decode_quarter,
    "softargmax": reference_steps.decode_softargmax,
    "dark": reference_steps.decode_dark,
}


def persons(recipe, images, annotations=(), detections=()):
    """Who is estimated: [{id, image, box or centre and scale, score}]."""
    if recipe["boxes"] == "mpii":
        return reference_boxes.mpii(annotations, recipe["holds"])
    if recipe["boxes"] == "detected":
        return reference_boxes.detected(detections, images)
    dummy = recipe.get("dummy", False)
    return reference_boxes.annotated(annotations, images, recipe["clean"], dummy)


def read(folder, image, exif):
    flags = cv2.IMREAD_COLOR | (0 if exif else cv2.IMREAD_IGNORE_ORIENTATION)
    return cv2.imread(str(Path(folder) / image["file_name"]), flags)


def place(recipe, image, person, size):
    """Crop, area of what was cropped, and the way from a heatmap cell to the image."""
    height, width = size
    if recipe["crop"] == "whole pixels":
        corners = reference_boxes.whole_pixel_box(person["box"], image.shape[1], image.shape[0])
        left, top, right, bottom = corners
        crop = reference_boxes.whole_pixel_crop(image, corners, height, width)

        def back(x, y):
            return reference_boxes.whole_pixel_back(x, y, corners, height // 4, width // 4)

        return crop, (right - left) * (bottom - top), back
    if "centre" in person:
        centre, scale = person["centre"], person["scale"]
    else:
        centre, scale = reference_steps.centre_scale(
            person["box"], height, width, recipe["pixel_std"]
        )
    if recipe["crop"] == "udp":
        matrix = reference_steps.udp_matrix(centre, scale, height, width)
    else:
        matrix = reference_steps.hrnet_matrix(
            centre, scale, height, width, pixel_std=recipe["pixel_std"]
        )
    inverse = reference_steps.hrnet_matrix(
        centre, scale, height // 4, width // 4, inverse=True, pixel_std=recipe["pixel_std"]
    )
    area = float(np.prod(scale * np.float32(recipe["pixel_std"])))
    return (
        reference_steps.crop(image, matrix, height, width),
        area,
        lambda x, y: inverse @ [x, y, 1.0],
    )


def heatmaps(recipe, network, crop, keypoints):
    """(K, h, w) of the crop and, brought back, of its mirror image (None without flip)."""
    x = reference_steps.tensor(crop, recipe["colour"], recipe["mean"], recipe["std"])
    with torch.no_grad():
        ahead = network(x)[0].numpy()
        if not recipe["flip"]:
            return ahead, None
        mirrored = network(torch.flip(x, [3]))[0].numpy()
    shift = recipe.get("shift", True)
    return ahead, reference_steps.flip_back(mirrored, reference_keypoints.PAIRS[keypoints], shift)


def joint(recipe, ahead, back, *, peak):
    """One joint's (x, y, score): a peak of the averaged map, or the average of two integrals."""
    if peak:
        both = ahead if back is None else (ahead + back) * np.float32(0.5)
        return DECODERS["quarter" if recipe["decode"] == "combined" else recipe["decode"]](both)
    if recipe.get("merge") == "heatmaps":
        return reference_steps.decode_integral((ahead + back) * np.float32(0.5))
    one = reference_steps.decode_integral(ahead)
    if back is None:
        return one
    other = reference_steps.decode_integral(back)
    return tuple((a + b) / 2 for a, b in zip(one, other, strict=True))


def peaks(recipe, joints):
    """How many of the first joints are read from a peak."""
    if recipe["decode"] == "combined":
        return recipe.get("split", reference_keypoints.heatmap_joints(joints))
    return 0 if recipe["decode"] == "integral" else joints


def undecided(recipe, ahead, back, cell):
    """Whether rounding decides where this joint's peak is.

    The two highest cells of the averaged map are closer than 1e-5 of the peak, or DARK divides by
    so little that the last bit of a logarithm moves the joint by a thousandth of a px (``cell``
    px wide).
    """
    both = ahead if back is None else (ahead + back) * np.float32(0.5)
    second, first = np.sort(both.reshape(-1))[-2:]
    if first - second < 1e-5 * abs(first):
        return True
    x, y, _ = reference_steps.peak(both)
    height, width = both.shape
    if recipe["decode"] != "dark" or not (1 < x < width - 2 and 1 < y < height - 2):
        return False
    log = reference_steps.log_blurred(both, 3).astype(np.float64)
    gradient, hessian = reference_steps.curvature(log, x, y)
    least = np.linalg.svd(hessian, compute_uv=False)[-1]
    step = np.linalg.norm(np.linalg.lstsq(hessian, gradient, rcond=None)[0])
    last_bit = np.abs(log[y - 2 : y + 3, x - 2 : x + 3]).max() * np.finfo(np.float32).eps
    return last_bit * (1 + step) * cell > 1e-3 * least


def estimate(recipe, network, folder, person, size, keypoints):
    """The person with points (K, 2), scores (K,), area and joints that rounding decides."""
    image = read(folder, person["image"], recipe["exif"])
    crop, area, back_to_image = place(recipe, image, person, size)
    ahead, back = heatmaps(recipe, network, crop, keypoints)
    from_peaks = peaks(recipe, len(ahead))
    cell = math.sqrt(area / ahead[0].size)
    points, scores, unsure = [], [], []
    for k in range(len(ahead)):
        mirrored = None if back is None else back[k]
        x, y, score = joint(recipe, ahead[k], mirrored, peak=k < from_peaks)
        points.append(np.asarray(back_to_image(x, y)) - recipe["bias"])
        scores.append(float(score))
        if k < from_peaks and undecided(recipe, ahead[k], mirrored, cell):
            unsure.append(k)
    found = {
        "points": np.array(points),
        "scores": scores,
        "area": area,
        "undecided": unsure,
    }
    return {**person, **found}


def total(recipe, person):
    """The instance score."""
    if recipe["score"] == "none":
        return person["score"]
    if recipe["score"] == "alphapose":
        box = person["score"] if recipe["boxes"] == "detected" else None
        return reference_steps.alphapose_score(person["scores"], box, recipe["weight"])
    return reference_steps.instance_score(person["scores"], person["score"], recipe["threshold"])


def kept(recipe, people, keypoints):
    """Ids of the persons that are reported."""
    if recipe["suppress"] == "none":
        return sorted(person["id"] for person in people)
    by_image = sorted(people, key=lambda person: person["image"]["id"])
    ids = []
    for _, group in groupby(by_image, key=lambda person: person["image"]["id"]):
        rows = [(p["id"], p["points"].tolist(), p["area"], total(recipe, p)) for p in group]
        ids += reference_steps.suppress(
            rows, 0.9, reference_keypoints.SUPPRESSION_SIGMAS[keypoints]
        )
    return sorted(ids)

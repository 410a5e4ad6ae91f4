"""Which persons every zoo crops and where, one person at a time; posebench is not imported."""

from __future__ import annotations

import cv2
import numpy as np
import reference_steps


def clip_after_width(bbox, image_width, image_height):
    """AlphaPose and GluonCV: the pixel goes first, then both corners are clipped."""
    x, y, w, h = bbox
    right, bottom = x + max(w - 1, 0), y + max(h - 1, 0)
    left, right = (min(max(value, 0), image_width - 1) for value in (x, right))
    top, bottom = (min(max(value, 0), image_height - 1) for value in (y, bottom))
    if right <= left or bottom <= top:
        return None
    return left, top, right - left, bottom - top


def whole_width(bbox, image_width, image_height):
    """Nobody: HRNet's box if no pixel were taken off."""
    x, y, w, h = bbox
    return reference_steps.hrnet_box((x, y, w + 1, h + 1), image_width, image_height)


CLEAN = {
    "before": reference_steps.hrnet_box,
    "after": clip_after_width,
    "visible": clip_after_width,
    "whole": whole_width,
}


def worth_a_box(row, clean):
    """HRNet and Paddle ask for any number, GluonCV and AlphaPose for a labelled joint; AlphaPose
    on Halpe and COCO-WholeBody for one whose visibility is 0.35, whatever the annotated area."""
    if row.get("iscrowd") or max(row["keypoints"]) == 0:
        return False
    visibilities = row["keypoints"][2::3]
    if clean == "visible":
        return row["num_keypoints"] > 0 and max(visibilities) >= 0.35
    if clean == "after" and max(visibilities) == 0:
        return False
    return row["area"] > 0


def annotated(annotations, images, clean, dummy=False):
    """Annotated persons that are estimated, as {id, image, box, score}.

    A dummy stands at the origin of each image in which no one is left.
    """
    people = []
    for number, image in enumerate(images):
        found = []
        for row in annotations:
            if row["image_id"] != image["id"] or not worth_a_box(row, clean):
                continue
            box = CLEAN[clean](row["bbox"], image["width"], image["height"])
            if box is not None:
                found.append({"id": row["id"], "image": image, "box": box, "score": 1.0})
        if dummy and not found:
            # x, y, x, y of -1, -1, 0, 0
            found.append({"id": -number - 1, "image": image, "box": (-1, -1, 1, 1), "score": 1.0})
        people += found
    return people


def detected(detections, images):
    """Every person of a detector file, by its place in it: nothing clipped, nothing dropped."""
    known = {image["id"]: image for image in images}
    return [
        {"id": place, "image": known[row["image_id"]], "box": row["bbox"], "score": row["score"]}
        for place, row in enumerate(detections)
        if row["category_id"] == 1 and row["image_id"] in known
    ]


def mpii(rows, number):
    """MPII's persons: centre 15 scales lower, a quarter more, counted from 0.

    HRNet, FPD and LPN hold the numbers as float64, Paddle as float32 from the start.
    """
    people = []
    for place, row in enumerate(rows):
        centre, scale = np.array(row["center"], number), np.array([row["scale"]] * 2, number)
        if centre[0] != -1:
            centre[1] = float(centre[1]) + 15 * float(scale[1])
            scale = scale * number(1.25)
        person = {"id": place, "centre": centre - number(1), "scale": scale, "score": 1.0}
        people.append({**person, "image": {"id": row["image"], "file_name": row["image"]}})
    return people


def whole_pixel_box(box, image_width, image_height):
    """GluonCV alpha_pose: (left, top, right, bottom), grown by 20 % of wide boxes, else 30 %.

    The box passes through a float32 array; what follows is doubles.
    """
    x, y, w, h = box
    corners = np.array([x, y, x + w, y + h], np.float32)
    corners[[0, 2]] = np.clip(corners[[0, 2]], np.float32(0), np.float32(image_width - 1))
    corners[[1, 3]] = np.clip(corners[[1, 3]], np.float32(0), np.float32(image_height - 1))
    width, height = float(corners[2] - corners[0]), float(corners[3] - corners[1])
    x1, y1, x2, y2 = (float(value) for value in corners)
    rate = 0.2 if width > 100 else 0.3
    left = int(max(0, x1 - width * rate / 2))
    top = int(max(0, y1 - height * rate / 2))
    right = int(min(image_width - 1, max(left + 5, x2 + width * rate / 2)))
    bottom = int(min(image_height - 1, max(top + 5, y2 + height * rate / 2)))
    return left, top, right, bottom


def whole_pixel_crop(image, corners, net_height, net_width):
    """GluonCV alpha_pose: black outside the box, corners onto corners."""
    left, top, right, bottom = corners
    right, bottom = right - 1, bottom - 1
    inside = np.zeros_like(image)
    inside[top : bottom + 1, left : right + 1] = image[top : bottom + 1, left : right + 1]
    height = max(bottom - top, (right - left) * net_height / net_width)
    width = height * net_width / net_height
    pad_y, pad_x = (height - (bottom - top)) // 2, (width - (right - left)) // 2
    first = np.array([left - pad_x, top - pad_y], np.float32)
    last = np.array([right + pad_x, bottom + pad_y], np.float32)
    end = np.array([net_width - 1, net_height - 1], np.float32)
    source = reference_steps.three_points(first, last)
    target = reference_steps.three_points(np.zeros(2, np.float32), end)
    return reference_steps.crop(
        inside, cv2.getAffineTransform(source, target), net_height, net_width
    )


def whole_pixel_back(x, y, corners, map_height, map_width):
    """GluonCV alpha_pose: from a heatmap cell to the image."""
    left, top, right, bottom = corners
    height = max(bottom - top, (right - left) * map_height / map_width)
    width = height * map_width / map_height
    x, y = x * height / map_height, y * height / map_height
    x -= max(0, (width - 1) / 2 - (right - 1 - left) / 2)
    y -= max(0, (height - 1) / 2 - (bottom - 1 - top) / 2)
    return x + left, y + top

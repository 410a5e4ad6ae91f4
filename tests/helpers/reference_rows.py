"""What rows of outside files mean, written down a second time and as strictly as possible.

Nothing here is shared with the package: each function takes parsed JSON and returns plain values,
or raises ``Bad``.
"""

from __future__ import annotations

import math
from pathlib import PurePosixPath, PureWindowsPath

PX, SCORE = 1e7, 1e15
PARTS = {"foot_kpts": 6, "face_kpts": 68, "lefthand_kpts": 21, "righthand_kpts": 21}


class Bad(Exception):
    """A file, or a row, that must be refused."""


def whole(value, low=-(2**63), high=2**63 - 1):
    if value.__class__ is float:
        if not math.isfinite(value) or value != math.floor(value) or abs(value) > 2**53:
            raise Bad(value)
        value = int(value)
    if value.__class__ is not int or value < low or value > high:
        raise Bad(value)
    return value


def real(value, low, high):
    if value.__class__ not in (int, float) or not (low <= value <= high):
        raise Bad(value)
    return float(value)


def flag(value):
    return whole(value, 0, 1) == 1


def numbers(value, count, bound):
    if value.__class__ is not list or len(value) != count:
        raise Bad(value)
    return [real(number, -bound, bound) for number in value]


def need(row, key):
    if key not in row:
        raise Bad(key)
    return row[key]


def name(value):
    if value.__class__ is not str or "\0" in value:
        raise Bad(value)
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        raise Bad(value)
    size = len(value.encode())
    if size > 4096 or any(len(part.encode()) > 255 for part in value.split("/")):
        raise Bad(value)
    paths = PurePosixPath(value), PureWindowsPath(value)
    if not paths[0].name or any(p.is_absolute() or p.drive or ".." in p.parts for p in paths):
        raise Bad(value)
    return value


def images(rows):
    table = {}
    for row in rows:
        if row.__class__ is not dict:
            raise Bad(row)
        number = whole(need(row, "id"))
        name(need(row, "file_name"))
        for side in ("width", "height"):
            whole(need(row, side), 1, 10**7)
        if number in table:
            raise Bad(number)
        table[number] = row["file_name"]
    return table


def category(rows):
    if rows.__class__ is not list or any(row.__class__ is not dict for row in rows):
        raise Bad(rows)
    ids = [whole(need(row, "id")) for row in rows]
    names = [row.get("name", "") for row in rows]
    if any(text.__class__ is not str for text in names):
        raise Bad(names)
    if "person" in names:
        return ids[names.index("person")]
    return ids[0] if len(ids) == 1 else 1


def keypoints(row, key, joints):
    value = row.get(key, [])
    if value.__class__ is list and not value:
        return [0.0] * (3 * joints)
    return numbers(value, 3 * joints, PX)


def annotation(row, joints, layout):
    """One annotated row -> the persons it holds, as the file means them."""
    if "num_keypoints" in row:
        whole(row["num_keypoints"], 0)
    if layout == "hands":
        return [person for side in (0, 1) for person in hand(row, side)]
    found = {
        "id": whole(need(row, "id")),
        "image_id": whole(need(row, "image_id")),
        "bbox": numbers(need(row, "bbox"), 4, PX),
        "iscrowd": flag(row.get("iscrowd", 0)),
        "ignore": flag(row.get("ignore", 0)),
    }
    if min(found["bbox"][2:]) < 0:
        raise Bad(row["bbox"])
    if layout == "crowdpose" and "area" not in row:
        found["area"] = row["bbox"][3] * row["bbox"][2] * 0.53
    else:
        found["area"] = real(need(row, "area"), 0, PX**2)
    found["keypoints"] = keypoints(row, "keypoints", 17 if layout == "wholebody" else joints)
    if layout == "wholebody":
        for part, count in PARTS.items():
            found["keypoints"] += keypoints(row, part, count)
    labelled = sum(label > 0 for label in found["keypoints"][2::3])
    counts_itself = layout in ("coco", "crowdpose") and "num_keypoints" in row
    found["num_keypoints"] = whole(row["num_keypoints"]) if counts_itself else labelled
    return [found]


def hand(row, side):
    key = ("lefthand", "righthand")[side]
    number = whole(need(row, "id"))
    valid = row.get(f"{key}_valid", False)
    if not (valid if valid.__class__ is bool else flag(valid)):
        return
    box = numbers(need(row, f"{key}_box"), 4, PX)
    if min(box[2:]) < 0:
        raise Bad(box)
    points = keypoints(row, f"{key}_kpts", 21)
    yield {
        "id": whole(2 * number + side),
        "image_id": whole(row["image_id"]),
        "bbox": box,
        "iscrowd": flag(row.get("iscrowd", 0)),
        "ignore": False,
        "area": real(box[2] * box[3], 0, PX**2),
        "keypoints": points,
        "num_keypoints": sum(label > 0 for label in points[2::3]),
    }


def coco(content, joints, layout="coco"):
    """(persons image by image, number of bad rows) of a file in COCO's layout."""
    if any(content.get(key).__class__ is not list for key in ("images", "annotations")):
        raise Bad(content)
    table = images(content["images"])
    if layout == "crowdpose":
        for row in content["images"]:
            real(need(row, "crowdIndex"), 0, 1)
    person = category(content.get("categories", []))
    found, bad = [], 0
    for row in content["annotations"]:
        try:
            if row.__class__ is not dict:
                raise Bad(row)
            if whole(row.get("category_id", person)) != person:
                continue
            if whole(need(row, "image_id")) not in table:
                continue
            found += annotation(row, joints, layout)
        except Bad:
            bad += 1
    if len({row["id"] for row in found}) < len(found) or (bad and not table):
        raise Bad("ids")
    order = list(table)
    return sorted(found, key=lambda row: order.index(row["image_id"])), bad


def mpii(content):
    """(persons, number of bad rows) of MPII's list."""
    found, bad = [], 0
    for row in content:
        try:
            if row.__class__ is not dict:
                raise Bad(row)
            points, labels = need(row, "joints"), numbers(need(row, "joints_vis"), 16, 1)
            if points.__class__ is not list or len(points) != 16 or set(labels) - {0, 1}:
                raise Bad(row)
            found.append(
                {
                    "image": name(need(row, "image")),
                    "center": numbers(need(row, "center"), 2, PX),
                    "scale": real(need(row, "scale"), 1e-4, 1e6),
                    "joints": [numbers(point, 2, PX) for point in points],
                    "joints_vis": labels,
                }
            )
        except Bad:
            bad += 1
    return found, bad


def boxes(content, table, person):
    """(place, image, box, score) of the boxes that count, image by image."""
    if content.__class__ is not list:
        raise Bad(content)
    found = []
    for place, row in enumerate(content):
        if row.__class__ is not dict:
            raise Bad(row)
        image, kind = whole(need(row, "image_id")), whole(need(row, "category_id"))
        box = numbers(need(row, "bbox"), 4, PX)
        score = real(need(row, "score"), -SCORE, SCORE)
        if image in table and kind == person:
            found.append((place, image, box, score))
    if not found:
        raise Bad("nobody")
    order = list(table)
    return sorted(found, key=lambda row: order.index(row[1]))


def image_of(value, table):
    if value.__class__ is not str:
        return whole(value)
    short = PurePosixPath(value)
    for wanted, given in (
        (str(short), lambda path: str(path)),
        (short.name, lambda path: path.name),
        (short.name, lambda path: path.stem),
    ):
        fits = [k for k, text in table.items() if given(PurePosixPath(text)) == wanted]
        if len(fits) == 1:
            return fits[0]
        if fits:
            raise Bad(value)
    raise Bad(value)


def results(content, joints, table, person):
    """Rows of a results file that count: image_id, keypoints, score and bbox or None."""
    if content.__class__ is not list or not content:
        raise Bad(content)
    found = []
    for row in content:
        if row.__class__ is not dict:
            raise Bad(row)
        image = image_of(need(row, "image_id"), table)
        score = real(need(row, "score"), -SCORE, SCORE)
        if whole(row.get("category_id", person)) != person:
            continue
        lists = [need(row, "keypoints"), *(row[part] for part in PARTS if part in row)]
        if any(part.__class__ is not list for part in lists):
            raise Bad(row)
        flat = numbers([n for part in lists for n in part], 3 * joints, SCORE)
        box = row.get("bbox", [])
        box = None if box.__class__ is list and not box else numbers(box, 4, SCORE)
        if image not in table:
            raise Bad(image)
        found.append({"image_id": image, "keypoints": flat, "score": score, "bbox": box})
    if not found or len({row["bbox"] is None for row in found}) > 1:
        raise Bad("boxes")
    return found

"""Writes the corpus of nasty files: ``python tools/nasty.py [DIR]``.

``<kind>/refused/<file>`` must end in one sentence, ``<kind>/read/<file>`` is odd but fine.  Every
file is made of fixed bytes, so that the same corpus comes out everywhere; nothing in it does more
than leave a marker if it were run.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from nasty_weights import (
    HUGE,
    MARKER,
    Call,
    File,
    mxnet_files,
    nameless,
    paddle_files,
    safetensors_files,
    torch_files,
    zipped,
)

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "hardening" / "corpus"


def annotations() -> dict[str, Any]:
    """Two persons in one image, in COCO's layout."""
    person = {"image_id": 1, "category_id": 1, "iscrowd": 0, "bbox": [1.0, 2.0, 30.0, 40.0],
              "area": 900.0, "num_keypoints": 17, "keypoints": [5.0, 6.0, 2.0] * 17}  # fmt: skip
    return {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 64, "height": 48}],
        "annotations": [person | {"id": 1}, person | {"id": 2}],
        "categories": [{"id": 1, "name": "person"}],
    }


def coco_files() -> Iterator[File]:
    """Annotations that lie, and JSON that is hard to read."""

    def changed(*path: Any, to: Any) -> bytes:
        content = annotations()
        at: Any = content
        for step in path[:-1]:
            at = at[step]
        at[path[-1]] = to
        return json.dumps(content).encode()

    first = ("annotations", 0)
    yield "refused/deep.json", b"[" * 100_000
    yield "refused/deep_object.json", b'{"a":' * 20_000
    yield "refused/cut.json", json.dumps(annotations()).encode()[:-30]
    yield "refused/bytes.json", b"\xff\xfe\x00{"
    yield "refused/number.json", b'{"images": [], "annotations": [' + b"9" * 5000 + b"]}"
    yield "refused/doubled.json", changed("x", to=1).replace(b'"x"', b'"images"')
    yield "refused/escape.json", changed("images", 0, "file_name", to="../../../etc/passwd")
    yield "refused/absolute.json", changed("images", 0, "file_name", to="/dev/zero")
    yield "refused/windows.json", changed("images", 0, "file_name", to="C:\\boot.jpg")
    yield "refused/zero_byte.json", changed("images", 0, "file_name", to="a\0.jpg")
    yield "refused/nan.json", changed(*first, "bbox", to=[float("nan")] * 4)
    yield "refused/infinite.json", changed(*first, "keypoints", to=[float("inf")] * 51)
    yield "refused/far.json", changed(*first, "bbox", to=[1e300, 0, 1, 1])
    yield "refused/long.json", changed(*first, "keypoints", to=[1] * 52)
    yield "refused/words.json", changed(*first, "bbox", to="all of it")
    yield "refused/nested.json", changed(*first, "bbox", to=[[1], [2], [3], [4]])
    yield "refused/big_id.json", changed(*first, "id", to=10**30)
    yield "refused/same_id.json", changed(*first, "id", to=2)
    yield "refused/area.json", changed(*first, "area", to={"a": 1})
    yield "refused/image_size.json", changed("images", 0, "width", to=-64)
    yield "refused/rows.json", changed("annotations", to=[None, 5, "a"])
    for name, (key, value) in {
        "text_category": ("category_id", "1"), "no_category": ("category_id", None),
        "text_crowd": ("iscrowd", "0"), "true_crowd": ("iscrowd", False),
        "part_of_a_count": ("num_keypoints", 0.7), "text_area": ("area", "900"),
        "true_area": ("area", True), "text_points": ("keypoints", "1" * 51),
        "object_points": ("keypoints", {str(k): 1 for k in range(51)}),
        "true_points": ("keypoints", [True] * 51), "part_of_an_image": ("image_id", 1.4),
        "part_of_an_id": ("id", 0.5), "too_large_id": ("id", 2**63),
    }.items():  # fmt: skip
        yield f"refused/{name}.json", changed(*first, key, to=value)
    endless = changed(*first, "iscrowd", to=17).replace(b'"iscrowd": 17', b'"iscrowd": 1e400')
    yield "refused/endless_crowd.json", endless
    yield "refused/text_image.json", changed("images", 0, "id", to="1")
    yield "refused/surrogate.json", changed("images", 0, "file_name", to="\ud800.jpg")
    yield "refused/long_name.json", changed("images", 0, "file_name", to="a" * 5000)
    yield "refused/text_person.json", changed("categories", 0, "id", to="1")
    yield "read/whole_floats.json", changed(*first, "image_id", to=1.0)
    yield "read/large_id.json", changed(*first, "id", to=2**63 - 1)
    yield "read/point.json", changed(*first, "bbox", to=[1, 2, 1e-300, 5e-324])
    yield "read/strange_words.json", changed("info", to="<script>alert(1)</script>\u202e\0")
    yield "read/nobody.json", changed("annotations", to=[])


def box_files() -> Iterator[File]:
    """Detector files."""
    box = {"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}
    for name, change in {
        "nan": {"score": float("nan")}, "words": {"bbox": "x"}, "short": {"bbox": [1, 2]},
        "huge": {"image_id": 10**30}, "nobody": {"category_id": 7}, "none": {"score": None},
        "digits": {"score": 10**400}, "text_category": {"category_id": "1"},
        "text_image": {"image_id": "1"}, "part_of_an_image": {"image_id": 1.4},
        "true_score": {"score": True}, "text_box": {"bbox": "1234"},
        "true_box": {"bbox": [True] * 4}, "far": {"bbox": [1e300, 0, 1, 1]},
    }.items():  # fmt: skip
        yield f"refused/{name}.json", json.dumps([box | change]).encode()
    yield "refused/object.json", json.dumps({"a": [box]}).encode()
    yield "read/point.json", json.dumps([box | {"bbox": [1, 2, 1e-300, 5e-324]}]).encode()


def results_files() -> Iterator[File]:
    """Persons that some tool reports."""
    person = {"image_id": 1, "category_id": 1, "keypoints": [5.0] * 51, "score": 0.5}
    for name, change in {
        "text_category": {"category_id": "1"}, "part_of_an_image": {"image_id": 1.4},
        "nobody_s_image": {"image_id": "b.jpg"}, "too_large_id": {"image_id": 2**63},
        "true_score": {"score": True}, "text_points": {"keypoints": "1" * 51},
        "true_points": {"keypoints": [True] * 51}, "nan": {"keypoints": [float("nan")] * 51},
        "some_boxes": {"bbox": [1, 2, 3, 4]}, "true_box": {"bbox": [True] * 4},
    }.items():  # fmt: skip
        yield f"refused/{name}.json", json.dumps([person | change, person]).encode()
    yield "refused/null.json", json.dumps([person, None]).encode()
    for name, image in {"file": "a.jpg", "stem": "a", "folder": "val/a.jpg"}.items():
        yield f"read/{name}.json", json.dumps([person | {"image_id": image}]).encode()


def mpii_files() -> Iterator[File]:
    """MPII's list of persons."""
    person = {"image": "a.jpg", "center": [50, 60], "scale": 1.0, "joints": [[1, 2]] * 16,
              "joints_vis": [1] * 16}  # fmt: skip
    for name, change in {
        "scale": {"scale": 0}, "nan": {"center": [float("nan"), 1]}, "far": {"center": [1e300, 1]},
        "joints": {"joints": [[1, 2]] * 15}, "escape": {"image": "../a.jpg"},
        "words": {"joints_vis": "all"}, "text_scale": {"scale": "1.0"},
        "text_joints": {"joints": [["1", "2"]] * 16}, "half_seen": {"joints_vis": [0.5] * 16},
        "no_text": {"image": 5}, "surrogate": {"image": "\ud800.jpg"},
        "point": {"scale": 1e-300},
    }.items():  # fmt: skip
        yield f"refused/{name}.json", json.dumps([person | change]).encode()


def mat_files() -> Iterator[File]:
    """MATLAB files with absurd lengths, and one of a newer version."""
    head = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<H", 0x0100) + b"IM"
    flags = struct.pack("<IIII", 6, 8, 6, 0)

    def matrix(*sides: int) -> bytes:
        shape = struct.pack("<II", 5, 4 * len(sides)) + struct.pack(f"<{len(sides)}i", *sides)
        name = struct.pack("<II", 1, 11) + b"jnt_missing".ljust(16)
        body = flags + shape + name + struct.pack("<II", 9, 8) + bytes(8)
        return head + struct.pack("<II", 14, len(body)) + body

    yield "refused/length.mat", head + struct.pack("<II", 14, 0xFFFFFFF0)
    yield "refused/shape.mat", matrix(2_000_000_000, 2_000_000_000)
    yield "refused/negative.mat", matrix(-1, 1)
    bomb = zlib.compress(struct.pack("<II", 14, 80_000_000) + bytes(80_000_000), 9)
    yield "refused/bomb.mat", head + struct.pack("<II", 15, len(bomb)) + bomb
    yield "refused/garbled.mat", head + struct.pack("<II", 15, 32) + b"x" * 32
    yield "refused/hdf.mat", b"\x89HDF\r\n\x1a\n" + bytes(200)
    yield "refused/cut.mat", head[:60]


def png(width: int, height: int, bits: int = 8, colour: int = 0, rows: bytes = b"") -> bytes:
    """A PNG of any claims."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def image_files() -> Iterator[File]:
    """Pictures of every odd kind; those that are fine have 64 x 48 pixels."""
    ramp = np.arange(48 * 64 * 3).reshape(48, 64, 3)
    picture = (ramp % 251).astype(np.uint8)

    def encoded(kind: str, pixels: Any = picture, *flags: int) -> bytes:
        return bytes(cv2.imencode(kind, pixels, list(flags))[1].tobytes())

    jpeg = encoded(".jpg")
    tag = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    turned = b"\xff\xe1" + struct.pack(">H", len(tag) + 2) + tag
    scan = jpeg.index(b"\xff\xda")
    yield "read/grey.jpg", encoded(".jpg", picture[:, :, 0])
    yield "read/sixteen_bits.png", encoded(".png", (ramp * 7 % 65521).astype(np.uint16))
    yield "read/transparent.png", encoded(".png", np.dstack([picture, picture[:, :, :1]]))
    yield "read/turned.jpg", jpeg[:2] + turned + jpeg[2:]
    yield "read/progressive.jpg", encoded(".jpg", picture, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    yield "read/tail.jpg", jpeg + b"<html>more bytes after the end</html>"
    yield "read/rows.bmp", encoded(".bmp")
    yield "read/cmyk.jpg", cmyk()
    yield "refused/cut.jpg", jpeg[: len(jpeg) // 2]
    yield "refused/cut_by_two.jpg", jpeg[:-2]
    yield "refused/header_only.jpg", jpeg[:scan]
    yield "refused/start_only.jpg", b"\xff\xd8"
    flat = encoded(".jpg", picture // 255)
    again = flat[flat.index(b"\xff\xda") : -2] * 300
    yield "refused/scans.jpg", flat[:-2] + again + flat[-2:]
    yield "refused/claims.jpg", resized(jpeg, 65500, 65500)
    yield "refused/other_size.jpg", resized(jpeg, 640, 480)
    yield "refused/zero.png", png(0, 0)
    yield "refused/bomb.png", png(30_000, 30_000, 1, 0, bytes(2_000_000))
    yield "refused/claims.png", png(2**31 - 1, 2**31 - 1)
    yield "refused/no_rows.png", png(64, 48)
    yield "refused/cut.png", encoded(".png")[:-60]
    yield "refused/crc.png", encoded(".png").replace(b"IDAT", b"IDAU")
    yield "refused/claims.bmp", encoded(".bmp")[:18] + struct.pack("<ii", 2**31 - 1, 2**31 - 1)
    yield "refused/animated.gif", b"GIF89a" + struct.pack("<HH", 65535, 65535) + bytes(20)
    yield "refused/page.jpg", b"<!DOCTYPE html><title>Sign in</title>"
    yield "refused/empty.jpg", b""
    yield "refused/vector.jpg", b'<svg xmlns="http://www.w3.org/2000/svg"/>'


def resized(jpeg: bytes, width: int, height: int) -> bytes:
    """A JPEG whose frame claims another size."""
    at = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:at] + struct.pack(">HH", height, width) + jpeg[at + 4 :]


def cmyk() -> bytes:
    """A JPEG of four inks and flat colour, spelled out: no encoder at hand writes one."""

    def segment(marker: int, data: bytes) -> bytes:
        return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data

    quantise = segment(0xDB, b"\0" + bytes([8] * 64))
    frame = struct.pack(">BHHB", 8, 48, 64, 4) + b"".join(bytes([c, 0x11, 0]) for c in range(1, 5))
    # one code each: "0" is category 0 for DC, "0" is the end of a block for AC
    one_code = bytes([1] + [0] * 15)
    tables = segment(0xC4, b"\x00" + one_code + b"\0") + segment(0xC4, b"\x10" + one_code + b"\0")
    scan = b"\x04" + b"".join(bytes([c, 0]) for c in range(1, 5)) + bytes([0, 63, 0])
    bits = 2 * 4 * (64 // 8) * (48 // 8)  # DC and AC of every block of every ink
    adobe = segment(0xEE, b"Adobe\0\x64\0\0\0\0\0")
    head = b"\xff\xd8" + adobe + quantise + segment(0xC0, frame) + tables
    return head + segment(0xDA, scan) + bytes(bits // 8) + b"\xff\xd9"


def yaml_files() -> Iterator[File]:
    """Zoo files with tags, aliases and depth."""
    bomb = "".join(f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 9)}]\n" for k in range(1, 12))
    for name, text in {
        "tag": f"zoo: !!python/object/apply:os.system ['touch {MARKER}']\n",
        "alias_bomb": f"a0: &a0 [lol]\n{bomb}",
        "doubled": "zoo: a\nzoo: b\n",
        "merge": "a: &a {x: 1}\nb:\n  <<: *a\n",
        "deep": "[" * 100_000,
        "deep_block": "".join(f"{' ' * k}a:\n" for k in range(500)),
        "digits": "zoo: " + "9" * 5000 + "\n",
        "two": "zoo: a\n---\nzoo: b\n",
        "zero_byte": "zoo: a\0b\n",
        "list": "- 1\n- 2\n",
        "dots": "zoo: ..\ntitle: x\nlicence: x\ninputs: {}\nrows: []\n",
        "separator": "zoo: ../../tmp/x\ntitle: x\nlicence: x\ninputs: {}\nrows: []\n",
        "key": "? [a, b]\n: c\n",
    }.items():
        yield f"refused/{name}.yaml", text.encode()
    yield "refused/bytes.yaml", b"\xff\xfe\xfd"
    for name, old, new in (
        ("size", "[64, 48]", "[0, 0]"),
        ("negative", "[64, 48]", "[-64, 48]"),
        ("text_for_number", "[64, 48]", "['64', 48]"),
        ("padding", "padding: 1.25", "padding: 0"),
        ("deviation", "std: [1, 1, 1]", "std: [0, 1, 1]"),
        ("width_null", "width: 16", "width: null"),
        ("width_part", "width: 16", "width: 1.5"),
        ("width_negative", "width: 16", "width: -4"),
        ("width_huge", "width: 16", "width: 100000000"),
        ("depth", "depth: 1", "depth: 1000000"),
        ("config", "name: demo, arguments: {width: 16, depth: 1}",
         "name: mmpose, arguments: {config: ../../../tmp/evil.py}"),
        ("package", "https://example.org/a.pth", "package:../../etc/passwd"),
        ("file_name", "file_name: a.pth", "file_name: ../../a.pth"),
        ("page_path", "path: README.md", "path: ../README.md"),
        ("escape", "title: Row", 'title: "\\e[31mRow"'),
        ("raw", 'raw: "70.0"', 'raw: "nan"'),
    ):  # fmt: skip
        assert ROW.count(old) == 1, name
        yield f"refused/row_{name}.yaml", ROW.replace(old, new).encode()
    yield "read/row.yaml", ROW.encode()


# What the corpus' rows are made of, one value at a time.
ROW = """\
zoo: nasty
title: Nasty
licence: none
pages: {page: {repository: none, path: README.md}}
inputs:
  small: {size: [64, 48], padding: 1.25, mean: [0, 0, 0], std: [1, 1, 1]}
rows:
  - id: row
    title: Row
    dataset: coco
    network: {name: demo, arguments: {width: 16, depth: 1}}
    input: small
    cite: []
    file: {container: torch, location: "https://example.org/a.pth", file_name: a.pth}
    claims:
      - {page: page, line: 1, raw: "70.0", metric: AP, protocol: hrnet_det56@1}
"""


def dataset_files() -> Iterator[File]:
    """Datasets whose files would lie elsewhere; ``mini`` is the id of each."""
    plain: dict[str, Any] = {
        "title": "Mini", "keypoints": "coco_17", "reader": "coco", "official_scorer": "coco_oks",
        "annotation_file": "a/{annotations}.json", "image_folder": "b", "licence": "none",
        "how_to_get": "Ask.",
        "files": [{"path": "a/val.json", "what": "x", "url": "https://example.org/a.json"}],
    }  # fmt: skip
    place = plain["files"][0]
    for name, change in {
        "parent": {"files": [place | {"path": "../../escape.json"}]},
        "absolute": {"files": [place | {"path": "/tmp/escape.json"}]},
        "backslash": {"files": [place | {"path": "a\\..\\..\\escape.json"}]},
        "drive": {"files": [place | {"path": "C:/escape.json"}]},
        "device": {"files": [place | {"path": "nul"}]},
        "control": {"files": [place | {"path": "a\u0000b"}]},
        "long": {"files": [place | {"path": "a" * 5000}]},
        "archive": {"files": [place | {"archive": "../a.zip"}]},
        "positional": {"annotation_file": "{0}"},
        "width": {"annotation_file": "{annotations:>2000000000}"},
        "unknown": {"annotation_file": "{x:>2000000000}"},
        "attribute": {"annotation_file": "{annotations.__class__}"},
        "images": {"image_folder": "../b"},
        "layout": {"other_layouts": [["../a.json", "b"]]},
        "boxes": {"box_files": {"det": {"path": "/dev/zero"}}},
        "count": {"images": "5000"},
    }.items():
        yield f"refused/{name}.yaml", json.dumps({"mini": plain | change}).encode()
    yield "read/plain.yaml", json.dumps({"mini": plain}).encode()


def record_files() -> Iterator[File]:
    """Records of others."""
    for name, text in {
        "deep": "[" * 100_000,
        "nothing": "{}",
        "version": '{"schema_version": "1"}',
        "newer": '{"schema_version": 99999999999999999999}',
        "fields": '{"schema_version": 1, "kind": "eval", "x": 1}',
        "digits": '{"schema_version": 1, "seconds": ' + "9" * 5000 + "}",
        "doubled": '{"schema_version": 1, "schema_version": 1}',
        "nan": '{"schema_version": 1, "seconds": NaN}',
        "list": "[1, 2]",
    }.items():
        yield f"refused/{name}.json", text.encode()
    yield "refused/bytes.json", b"\xff\xfe\x00"


def npy(header: str, data: bytes = b"") -> bytes:
    """An array file with any header."""
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + data


def prediction_files() -> Iterator[File]:
    """Saved predictions whose arrays are not what they say."""
    names = ("keypoints", "joint_scores", "box", "box_score", "crop_area", "image_id", "person_id",
             "keypoint_set", "format_version")  # fmt: skip
    plain = npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }\n", bytes(8))

    def all_of(array: bytes, method: int = zipfile.ZIP_STORED) -> bytes:
        return zipped({f"{name}.npy": array for name in names}, method)

    shape = "{{'descr': '{}', 'fortran_order': False, 'shape': {}, }}\n"
    yield "refused/shape.npz", all_of(npy(shape.format("<f8", f"({HUGE},)")))
    yield "refused/negative.npz", all_of(npy(shape.format("<f8", "(-1,)")))
    yield "refused/objects.npz", all_of(npy(shape.format("|O", "(1,)"), pickle.dumps(
        [Call(os.system, f"touch {MARKER}")], 2)))  # fmt: skip
    yield "refused/header.npz", all_of(npy("__import__('os').system('true')\n"))
    yield "refused/deep.npz", all_of(npy("(" * 9000 + ")" * 9000))
    yield "refused/wrong.npz", all_of(plain)
    yield "refused/missing.npz", zipped({"keypoints.npy": plain})
    zeros = npy(shape.format("<f8", "(2500000,)"), bytes(20_000_000))
    yield "refused/bomb.npz", all_of(zeros, zipfile.ZIP_DEFLATED)
    yield "refused/cut.npz", all_of(plain)[:-80]
    yield "refused/pickle.npz", pickle.dumps(Call(os.system, f"touch {MARKER}"), 2)
    yield "refused/empty.npz", b""
    yield "refused/twice.npz", zipped({"box.npy": plain, "box": plain})


def archive_files() -> Iterator[File]:
    """Archives that write where they should not; ``a.json`` is what is wanted of each."""

    def tar(*members: tuple[str, bytes, str]) -> bytes:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            for name, kind, target in members:
                info = tarfile.TarInfo(name)
                info.type, info.linkname = kind, target
                content = b"{}" if kind == tarfile.REGTYPE else b""
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
        return buffer.getvalue()

    file = tarfile.REGTYPE
    yield "refused/traversal.tar", tar(("../../a.json", file, ""), ("a.json", file, ""))
    yield "refused/absolute.tar", tar(("/etc/a.json", file, ""), ("a.json", file, ""))
    yield "refused/symlink.tar", tar(("a.json", tarfile.SYMTYPE, "/etc/passwd"))
    yield "refused/hardlink.tar", tar(("a.json", tarfile.LNKTYPE, "/etc/passwd"))
    yield "refused/device.tar", tar(("a.json", tarfile.CHRTYPE, ""))
    yield "refused/fifo.tar", tar(("a.json", tarfile.FIFOTYPE, ""))
    yield "refused/traversal.zip", zipped({"../a.json": b"{}", "a.json": b"{}"})
    yield "refused/nameless.zip", nameless(zipped({"a.json": b"{}"}))
    yield "refused/bomb.zip", zipped({"a.json": bytes(60_000_000)}, zipfile.ZIP_DEFLATED)
    yield "refused/cut.zip", zipped({"a.json": b"{}" * 100})[:-30]
    yield "refused/cut.tar", tar(("a.json", file, ""))[:300]
    yield "read/plain.zip", zipped({"a.json": b"{}"})


KINDS: dict[str, Callable[[], Iterator[File]]] = {
    "torch": torch_files,
    "mxnet": mxnet_files,
    "paddle": paddle_files,
    "safetensors": safetensors_files,
    "coco": coco_files,
    "boxes": box_files,
    "results": results_files,
    "mpii": mpii_files,
    "mat": mat_files,
    "image": image_files,
    "yaml": yaml_files,
    "dataset": dataset_files,
    "record": record_files,
    "predictions": prediction_files,
    "archive": archive_files,
}


def write_corpus(folder: Path) -> int:
    """Write every file below a folder and return how many there are."""
    count = 0
    for kind, files in KINDS.items():
        for name, content in files():
            path = folder / kind / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            count += 1
    return count


if __name__ == "__main__":
    where = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    print(f"{write_corpus(where)} files in {where}")

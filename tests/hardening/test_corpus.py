"""Every file of the corpus is refused in one sentence or read as it should be, soon and small."""

from __future__ import annotations

import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import pytest
from readers import NEEDS_TORCH, READERS

from posebench.types.errors import UserError

CORPUS = Path(__file__).parent / "corpus"
MARKER = "POSEBENCH_NASTY_FILE_WAS_RUN"
FILES = sorted(path.relative_to(CORPUS).as_posix() for path in CORPUS.glob("*/*/*"))
LIGHT = [name for name in FILES if name.partition("/")[0] not in NEEDS_TORCH]
SECONDS = 5.0
LEAST = 50


def read(name: str):
    """Read one file as its kind; what is not refused in due form raises."""
    path, began = CORPUS / name, time.process_time()
    try:
        return READERS[name.partition("/")[0]](path)
    except UserError as error:
        assert error.message.endswith("."), error.message
        assert "\n" not in error.message
        assert len(error.message) < 2500
        return error
    finally:
        assert time.process_time() - began < SECONDS, name


def check(name: str) -> None:
    found = read(name)
    expected = name.split("/")[1]
    assert isinstance(found, UserError) == (expected == "refused"), str(found)[:300]


@pytest.mark.light
@pytest.mark.parametrize("name", LIGHT)
def test_files_that_need_no_torch(name):
    check(name)


@pytest.mark.parametrize("name", sorted({*FILES} - {*LIGHT}))
def test_weights_and_images(name):
    check(name)


@pytest.mark.light
def test_there_are_enough_of_every_kind():
    kinds = {name.partition("/")[0] for name in FILES}
    assert kinds == READERS.keys()
    assert len(FILES) >= LEAST
    assert all(sum(name.startswith(f"{kind}/") for name in FILES) >= 6 for kind in kinds)


def test_odd_images_have_their_pixels():
    images = {n: read(n) for n in FILES if n.startswith("image/read/")}
    shapes = {name.rpartition("/")[2]: image.shape for name, image in images.items()}
    assert shapes.pop("turned.jpg") == (64, 48, 3)
    assert set(shapes.values()) == {(48, 64, 3)}
    grey = images["image/read/grey.jpg"]
    assert (grey[..., 0] == grey[..., 2]).all()
    assert grey.std() > 10


def chunk(kind, data):
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def palette_image(path):
    """A PNG of 64 x 48 pixels whose values are places in a palette of 256 colours."""
    header = struct.pack(">IIBBBBB", 64, 48, 8, 3, 0, 0, 0)
    colours = bytes(value for k in range(256) for value in (k, 255 - k, k * 7 % 256))
    rows = b"".join(b"\0" + bytes((row * 5 + k) % 256 for k in range(64)) for row in range(48))
    parts = ((b"IHDR", header), (b"PLTE", colours), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts))
    return path


def test_odd_images_are_those_of_the_zoos_reader(tmp_path):
    """The zoos call ``cv2.imread`` with its default flags, or without the orientation."""
    pytest.importorskip("torch")
    import cv2

    from posebench.inference.image_io import read_image

    palette = palette_image(tmp_path / "palette.png")
    assert read_image(palette, "apply").std() > 10
    for path in (*(CORPUS / "image" / "read").iterdir(), palette):
        theirs = cv2.imread(str(path))
        ours = read_image(path, "apply")
        assert ours.dtype == theirs.dtype == "uint8"
        assert (ours == theirs).all(), path.name
        theirs = cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        assert (read_image(path, "ignore") == theirs).all(), path.name


def test_nothing_in_it_is_ever_run(tmp_path):
    """In a folder of its own: what a pickle would leave behind would lie there."""
    pytest.importorskip("torch")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from readers import READERS\n"
        "from posebench.types.errors import UserError\n"
        "for kind, reader in READERS.items():\n"
        "    for path in sorted((Path(sys.argv[2]) / kind).rglob('*.*')):\n"
        "        try: reader(path)\n"
        "        except UserError: pass\n"
        "print('done')\n"
    )
    helpers = Path(__file__).parent.parent / "helpers"
    done = subprocess.run(
        [sys.executable, "-c", code, str(helpers), str(CORPUS)],
        cwd=tmp_path, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.stdout == "done\n", done.stderr[-2000:]
    assert not list(tmp_path.iterdir())
    assert not Path(MARKER).exists()


def test_the_script_writes_this_corpus(tmp_path):
    pytest.importorskip("torch")
    tools = Path(__file__).resolve().parents[2] / "tools"
    subprocess.run([sys.executable, str(tools / "nasty.py"), str(tmp_path)], check=True)
    again = sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.glob("*/*/*"))
    assert again == FILES


def test_a_jpeg_of_very_many_scans_is_refused():
    pytest.importorskip("torch")
    from posebench.inference.image_io import BadImage, read_image

    with pytest.raises(BadImage, match="more than 200 scans"):
        read_image(CORPUS / "image" / "refused" / "scans.jpg", "ignore")


@pytest.mark.parametrize("name", ["claims.jpg", "claims.png", "claims.bmp", "bomb.png"])
def test_bombs_are_told_before_they_unfold_also_where_no_size_is_annotated(name):
    pytest.importorskip("torch")
    from posebench.inference.image_io import BadImage, read_image

    with pytest.raises(BadImage, match="more than 100,000,000 are refused"):
        read_image(CORPUS / "image" / "refused" / name, "ignore")

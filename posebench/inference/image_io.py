"""Image files -> pixels, without trusting them: what is cut off or absurd is refused."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from posebench.progress import Progress
from posebench.types.arrays import Images
from posebench.types.errors import UserError
from posebench.types.faults import Fault

# No dataset has pictures of so many pixels; three bytes each of them fit into memory.
MOST_PIXELS = 100_000_000
# A progressive JPEG has a dozen; thousands of empty ones keep a decoder busy for minutes.
MOST_SCANS = 200
LARGEST_FILE = 1 << 30

JPEG, PNG, BMP = b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"BM"
START_OF_SCAN, END_OF_IMAGE = 0xDA, b"\xff\xd9"
# Markers that begin a frame, whose header has the size (ITU T.81, table B.1).
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
ALONE = frozenset((0x01, *range(0xD0, 0xD9)))  # markers without a length

Pixels = NDArray[np.uint8]
Size = tuple[int, int]


class BadImage(UserError):
    """An image file that cannot be used.

    Args:
        path: The file.
        reason: What is wrong; continues a sentence on the file.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"The image {path} {reason}.",
            "Give the folder of the images with --images, or go on without it: --on-error skip.",
        )
        self.reason = reason


class ImageDigests:
    """SHA-256 of the image files that an evaluation was made from, by image id."""

    def __init__(self) -> None:
        self._found: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self._found)

    def add(self, image_id: int, digest: str, path: Path) -> None:
        """Note the digest of one image file; threads may do so at the same time.

        Args:
            image_id: Of the dataset.
            digest: Hexadecimal.
            path: Of the file, for the error.

        Raises:
            BadImage: The file was read before and had other bytes.
        """
        if self._found.setdefault(image_id, digest) != digest:
            raise BadImage(path, "was changed while it was being evaluated")

    def items(self, ids: Iterable[int] | None = None) -> tuple[tuple[int, str], ...]:
        """Return (image id, digest), ordered by id, of every image or of some that were read."""
        wanted = self._found if ids is None else ids
        return tuple((image_id, self._found[image_id]) for image_id in sorted(wanted))


def file_digest(path: Path) -> str:
    """Return the SHA-256 of an image file's bytes, which are not decoded.

    Raises:
        BadImage: The file is missing or cannot be read.
    """
    return hashlib.sha256(_read(path)).hexdigest()


def read_image(path: Path, exif: str, size: Size | None = None) -> Pixels:
    """Read a JPEG, PNG or BMP file as 8-bit BGR, whatever its own channels are.

    Args:
        path: File.
        exif: ``apply`` or ``ignore`` the EXIF orientation, as the zoo's own reader does.
        size: (width, height) that the annotations state, px, upright or lying; None or zeros
            where they do not.

    Returns:
        (H, W, 3) uint8.

    Raises:
        BadImage: The file is missing, cut off, absurdly large, no image, or of another size
            than its annotations are for.
    """
    return _decode(_read(path), path, exif, size)


def _decode(data: bytes, path: Path, exif: str, size: Size | None) -> Pixels:
    flags = cv2.IMREAD_COLOR
    if exif == "ignore":
        flags |= cv2.IMREAD_IGNORE_ORIENTATION
    found = _size_of(path, data)
    if size is not None and all(size) and found not in (size, size[::-1]):
        raise BadImage(
            path,
            f"has {found[0]} x {found[1]} pixels, its annotations are for {size[0]} x {size[1]}",
        )
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise MemoryError(f"for the image {path.name}") from error
        image = None
    if image is None:
        raise BadImage(path, "cannot be decoded")
    return np.asarray(image, np.uint8)


def open_image(images: Images, row: int, exif: str, digests: ImageDigests | None = None) -> Pixels:
    """Read an image of a dataset, see ``read_image``.

    Args:
        images: Of the dataset.
        row: Of the image among them.
        exif: As for ``read_image``.
        digests: Takes the digest of the file's bytes.

    Raises:
        BadImage: It is missing, broken, of another size than its annotations are for, or was
            changed since it was last read.
    """
    path, size = images.path(row), (int(images.width[row]), int(images.height[row]))
    data = _read(path)
    pixels = _decode(data, path, exif, size)
    if digests is not None:
        digests.add(int(images.id[row]), hashlib.sha256(data).hexdigest(), path)
    return pixels


def bad_images(images: Images, threads: int, progress: Progress | None = None) -> list[Fault]:
    """Read every image and return those that cannot be used, in their order.

    Args:
        images: To read.
        threads: At a time.
        progress: Called with (``reading images``, done, all).
    """

    def reason(row: int) -> str | None:
        try:
            open_image(images, row, "ignore")
        except BadImage as error:
            return error.reason
        return None

    found = []
    with ThreadPoolExecutor(max_workers=threads) as pool:
        for row, told in enumerate(pool.map(reason, range(len(images)))):
            if told is not None:
                found.append(Fault("image", f"{images.file_name[row]} {told}", image=row))
            if progress:
                progress("reading images", row + 1, len(images))
    return found


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise BadImage(path, "is not a file" if path.exists() else "does not exist")
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise BadImage(path, f"has more than {LARGEST_FILE:,} bytes")
        return path.read_bytes()
    except OSError as error:
        raise BadImage(path, f"cannot be read: {error.strerror or error}") from error


def _size_of(path: Path, data: bytes) -> Size:
    """Return (width, height) as a file's header states them; a decoder allocates what it says."""
    try:
        if data.startswith(JPEG):
            size = _jpeg_size(data)
        elif data.startswith(PNG):
            size = struct.unpack_from(">II", data, 16)
        elif data.startswith(BMP):
            width, height = struct.unpack_from("<ii", data, 18)
            size = width, abs(height)  # negative: rows from the top
        else:
            raise BadImage(path, "cannot be decoded: it is not a JPEG, PNG or BMP" if data else
                           "cannot be decoded: it is empty")  # fmt: skip
    except struct.error:
        raise BadImage(path, "cannot be decoded: it is cut off") from None
    except ValueError as error:
        raise BadImage(path, f"cannot be decoded: {error}") from None
    if min(size) < 1:
        raise BadImage(path, f"cannot be decoded: it has {size[0]} x {size[1]} pixels")
    if size[0] * size[1] > MOST_PIXELS:
        raise BadImage(
            path, f"claims {size[0]} x {size[1]} pixels, more than {MOST_PIXELS:,} are refused"
        )
    return size[0], size[1]


def _jpeg_size(data: bytes) -> Size:
    """Walk a JPEG's segments up to the first scan; see that the file has an end."""
    at, size = 2, None
    while True:
        marker, code = struct.unpack_from(">BB", data, at)
        if marker != 0xFF:
            raise ValueError("its segments are damaged")
        if code == 0xFF or code in ALONE:
            at += 1 if code == 0xFF else 2
            continue
        (length,) = struct.unpack_from(">H", data, at + 2)
        if code in FRAMES:
            height, width = struct.unpack_from(">HH", data, at + 5)
            size = width, height
        at += 2 + length
        if code == START_OF_SCAN:
            break
    if size is None:
        raise ValueError("it has no frame")
    # inside a scan 0xff is followed by a zero, so that this is a marker
    if data.find(END_OF_IMAGE, at) < 0:
        raise ValueError("it is cut off")
    if data.count(b"\xff\xda", at) > MOST_SCANS:
        raise ValueError(f"it has more than {MOST_SCANS} scans")
    return size


def image_size(path: Path) -> tuple[int, int]:
    """Return an image's width and height, px.

    Raises:
        UserError: It is not an image.
    """
    try:
        picture = read_image(path, "apply")
    except BadImage as error:
        raise UserError(error.message, "Give another file.") from error
    return picture.shape[1], picture.shape[0]


def image_ids_sha256(ids: Iterable[int]) -> str:
    """Return the SHA-256 over image ids: ascending, in decimal digits, one a line.

    Args:
        ids: Of all images that count in a score, whether or not a person was estimated in them.

    Example:
        >>> image_ids_sha256([785, 139]) == image_ids_sha256([139, 785])
        True
    """
    lines = "".join(f"{image_id}\n" for image_id in sorted(ids))
    return hashlib.sha256(lines.encode()).hexdigest()


def images_sha256(digests: Iterable[tuple[int, str]]) -> str | None:
    """Return the SHA-256 over image files: a line ``<id> <SHA-256 of the bytes>`` each, by id.

    Args:
        digests: (image id, hexadecimal digest of the file's bytes) of every file that was read.

    Returns:
        None where no file was read.

    Example:
        >>> images_sha256([]) is None
        True
    """
    lines = "".join(f"{image_id} {digest}\n" for image_id, digest in sorted(digests))
    return hashlib.sha256(lines.encode()).hexdigest() if lines else None

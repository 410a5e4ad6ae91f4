"""Digests that say which images a record was measured on, whoever recomputes them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


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

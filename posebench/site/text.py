"""Texts of records, which anybody may have written, for pages and for places that hold one line."""

from __future__ import annotations

import re

# What HTML does not allow (controls, lone surrogates, noncharacters), and what turns the direction
# of the text that follows.
_UNSHOWN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"
    "|["
    + "".join(chr(plane << 16 | end) for plane in range(1, 17) for end in (0xFFFE, 0xFFFF))
    + "]"
)


def valid_html(page: str) -> str:
    """Return a page without the characters that HTML does not allow."""
    return _UNSHOWN.sub("", page)


def one_line(text: str) -> str:
    r"""Return a text without line breaks, control characters and lone surrogates.

    Example:
        >>> one_line("two\nlines, \x1b[31mred")
        'two lines, [31mred'
    """
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())

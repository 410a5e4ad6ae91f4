"""Texts of records, which anybody may have written, for places that hold one line."""

from __future__ import annotations


def one_line(text: str) -> str:
    r"""Return a text without line breaks, control characters and lone surrogates.

    Example:
        >>> one_line("two\nlines, \x1b[31mred")
        'two lines, [31mred'
    """
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())

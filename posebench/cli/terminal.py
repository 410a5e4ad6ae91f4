"""Everything that the command line prints goes through here.

Standard output belongs to the answer alone (with ``--json``, to the JSON alone). What libraries
print there, from Python or from C, goes to standard error. Words of records, registry rows and
fetched pages never reach a terminal as control sequences.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import stat
import sys
from collections.abc import Iterator
from typing import Any, TextIO

from posebench.progress import UNSAFE, Progress, bars, printable

STDIN, STDOUT, STDERR = 0, 1, 2


class _Output:
    """Where the answer goes while ``claimed`` holds standard output."""

    stream: TextIO | None = None
    held = False


@contextlib.contextmanager
def claimed() -> Iterator[None]:
    """Keep standard output for ``emit``; what anything else prints goes to standard error."""
    if _Output.held:
        yield
        return
    mine = sys.stdout
    _Output.stream, _Output.held = mine, True
    sys.stdout = sys.stderr
    try:
        yield
    finally:
        sys.stdout = mine
        _Output.stream, _Output.held = None, False


def _answer() -> TextIO | None:
    return _Output.stream if _Output.held else sys.stdout


def take_over() -> None:
    """Prepare the streams of a whole process: descriptors, encoding, blocking.

    A closed descriptor is opened on the null device, so that no file that is opened later takes its
    number and receives what is printed. Descriptor 1 becomes standard error for everything but
    ``emit``, because libraries in C and the threads of a cluster print whenever they like.
    """
    for number in (STDIN, STDOUT, STDERR):
        try:
            mode = os.fstat(number).st_mode
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
        else:
            if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
                os.set_blocking(number, True)  # a full pipe is waited for
    if sys.stdin is None:
        sys.stdin = open(STDIN, closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = _text(STDERR)
    elif isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr.reconfigure(errors="backslashreplace")
    if sys.stdout is None:
        sys.stdout = _text(STDOUT)
        return
    encoding = sys.stdout.encoding
    sys.stdout.flush()
    own = os.dup(STDOUT)
    os.dup2(STDERR, STDOUT)
    sys.stdout = _text(own, encoding)


def _text(number: int, encoding: str = "utf-8") -> TextIO:
    stream = open(number, "w", encoding=encoding, errors="backslashreplace")  # noqa: SIM115
    stream.reconfigure(line_buffering=os.isatty(number))
    return stream


def forget() -> None:
    """Send the rest of the answer to the null device: its reader is gone, or its disk is full."""
    stream = _answer()
    if stream is not None:
        _discard(stream)


def _discard(stream: TextIO) -> None:
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def emit(text: str = "", *, error: bool = False) -> None:
    """Print text and a line end, as ``printable`` has it.

    Args:
        text: May have several lines.
        error: To standard error; one that cannot be written loses the words, not the work.

    Raises:
        OSError: Standard output cannot be written.
    """
    _write(printable(text, lines=True) + "\n", error=error)


def print_json(content: Any) -> None:
    """Print strict JSON (no NaN) and nothing else."""
    stream = _answer()
    unicode = _encoding(stream).replace("-", "") in ("utf8", "utf16", "utf32")
    text = json.dumps(content, indent=1, ensure_ascii=not unicode, allow_nan=False)
    # json escapes what is below U+0020; the rest of what a terminal obeys can only be in strings
    _write(UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n", error=False)


def _encoding(stream: TextIO | None) -> str:
    return (getattr(stream, "encoding", None) or "utf-8").lower()


def _write(text: str, *, error: bool) -> None:
    stream = sys.stderr if error else _answer()
    if stream is None:
        return
    text = text.encode(_encoding(stream), "backslashreplace").decode(_encoding(stream))
    if not error:
        stream.write(text)
        return
    try:
        stream.write(text)
        stream.flush()
    except (OSError, ValueError):
        # else the interpreter tries once more at its end, and says so in the exit status
        _discard(stream)


def flush() -> None:
    """Write what is still held back.

    Raises:
        OSError: Standard output cannot be written.
    """
    stream = _answer()
    if stream is not None:
        stream.flush()


def width() -> int | None:
    """Return the columns of the terminal that reads the answer; None where none does."""
    stream = _answer()
    try:
        if stream is None or not stream.isatty():
            return None
        return int(os.environ.get("COLUMNS", "0")) or os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        return None


@contextlib.contextmanager
def progress(unit: str = "persons", *, lines: bool = False) -> Iterator[Progress | None]:
    """Show (what, done, all) calls as a bar with the rate.

    Args:
        unit: What is counted.
        lines: Without a terminal, print a line as each step begins; else None is yielded there.
    """
    with bars(unit) as report:
        yield report or (_lines() if lines else None)


def _lines() -> Progress:
    begun: set[str] = set()

    def report(what: str, _done: int, _count: int) -> None:
        if what not in begun:
            begun.add(what)
            emit(f"posebench: {what}", error=True)

    return report

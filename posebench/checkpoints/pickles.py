"""A first look at a pickle without running it: is it whole, and does it ask for absurd memory?"""

from __future__ import annotations

import io
import pickletools
from typing import BinaryIO

MEMO_PUTS = ("PUT", "BINPUT", "LONG_BINPUT")


class Refused(Exception):
    """A pickle asks for a thing that tensors do not need; the text names it."""


class Damaged(Exception):
    """A pickle is cut short or contradicts itself; the text says how."""


def inspect_pickle(stream: BinaryIO) -> None:
    """Walk one pickle's opcodes up to its STOP; the stream is left behind it.

    Nothing is built. Besides cut and garbled streams this finds memo indices without a reason:
    the C unpickler allocates its memo table up to the highest index it is told.

    Raises:
        Damaged: The stream is no whole pickle.
    """
    count = 0
    try:
        for opcode, argument, _ in pickletools.genops(stream):
            count += 1
            if opcode.name in MEMO_PUTS and int(str(argument)) > count:
                raise Damaged(f"its memo index {argument} is beyond its {count} steps")
    except Damaged:
        raise
    except Exception as error:  # genops raises whatever the garbled bytes lead to
        raise Damaged(str(error) or type(error).__name__) from error


def inspect_bytes(data: bytes) -> None:
    """Walk the pickle at the start of ``data``, see ``inspect_pickle``.

    Raises:
        Damaged: The bytes are no whole pickle.
    """
    inspect_pickle(io.BytesIO(data))

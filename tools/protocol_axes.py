"""Write ``posebench/types/protocol_axes.py``: the choices of ``Protocol`` as a ``TypedDict``.

``python tools/protocol_axes.py`` writes the file; type checkers then know which keyword arguments
``posebench.evaluate`` takes besides its own, and their types.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_origin

from posebench.types import protocol

FILE = Path(__file__).parents[1] / "posebench" / "types" / "protocol_axes.py"
HEAD = '''"""Keyword arguments that override choices of evaluation, for checking types and values.

Written by ``python tools/protocol_axes.py`` from ``posebench.types.protocol.Protocol``; a test
compares the two.
"""

from __future__ import annotations

from pydantic import ConfigDict
from typing_extensions import TypedDict

from posebench.types.base import Flag, Real, Whole
from posebench.types.protocol import (
{names}
)


class ProtocolAxes(TypedDict, total=False):
    """Choices of evaluation to override, see ``Protocol``; None is not an override."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)  # type: ignore[misc]

'''
PLAIN: dict[Any, str] = {bool: "Flag", int: "Whole", float: "Real", str: "str"}


def text() -> str:
    """Return the file's text."""
    aliases = {
        value: name for name, value in vars(protocol).items() if get_origin(value) is Literal
    }
    lines, used = [], set()
    for name, axis in protocol.Protocol.axes().items():
        if axis.option:
            kind = protocol.Protocol.model_fields[name].annotation
            shown = PLAIN.get(kind) or aliases[kind]
            lines.append(f"    {name}: {shown} | None")
            used |= {shown} - set(PLAIN.values())
    names = "\n".join(f"    {name}," for name in sorted(used))
    return HEAD.replace("{names}", names) + "\n".join(lines) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")

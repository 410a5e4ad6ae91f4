"""What each network takes as arguments, and within which bounds.

A registry row comes from a stranger: an argument of another type or size is refused when the row
is loaded, long before a constructor sees it. Networks of optional packages and of plug-ins have
bounds of their own; ``check_plain`` keeps their arguments plain and small.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from posebench.types.paths import check_relative
from posebench.types.suggestions import suggestion

MOST_ARGUMENTS = 32
LONGEST_LIST = 64
LONGEST_TEXT = 400
LARGEST = 1 << 53


@dataclass(frozen=True)
class Whole:
    """A whole number from ``low`` to ``high``, a multiple of ``step``."""

    low: int
    high: int
    step: int = 1

    def accepts(self, value: Any) -> bool:
        """Whether an argument may have this value."""
        return type(value) is int and self.low <= value <= self.high and value % self.step == 0

    def __str__(self) -> str:
        kind = "a whole number" if self.step == 1 else f"a multiple of {self.step}"
        return f"{kind} from {self.low} to {self.high}"


@dataclass(frozen=True)
class Wholes:
    """A list of ``count`` whole numbers."""

    count: int
    each: Whole

    def accepts(self, value: Any) -> bool:
        """Whether an argument may have this value."""
        fits = isinstance(value, list | tuple) and len(value) == self.count
        return fits and all(self.each.accepts(item) for item in value)

    def __str__(self) -> str:
        return f"a list of {self.count} numbers, each {self.each}"


@dataclass(frozen=True)
class Choice:
    """One of a few values; ``True`` is not 1 here."""

    values: tuple[int | str | bool, ...]

    def accepts(self, value: Any) -> bool:
        """Whether an argument may have this value."""
        return any(type(value) is type(known) and value == known for known in self.values)

    def __str__(self) -> str:
        return f"one of {', '.join(str(value).lower() for value in self.values)}"


@dataclass(frozen=True)
class InnerPath:
    """A path below a folder of the package that builds the network."""

    def accepts(self, value: Any) -> bool:
        """Whether an argument may have this value."""
        try:
            return isinstance(value, str) and bool(check_relative(value))
        except ValueError:
            return False

    def __str__(self) -> str:
        return "a relative path without .."


Bounds = Whole | Wholes | Choice | InnerPath


@dataclass(frozen=True)
class Signature:
    """The arguments of one network.

    Attributes:
        arguments: Name -> bounds.
        required: Names without a default.
        multiple: What both sides of the input have to be multiples of, pixels.
    """

    arguments: Mapping[str, Bounds]
    required: tuple[str, ...] = ()
    multiple: int = 1


# Bounds hold together: a network with every argument at its largest has fewer than 300 million
# parameters, which are made in a few seconds and need a gigabyte.
_JOINTS = {"joints": Whole(1, 1024)}
_RESNETS = Choice((50, 101, 152))
_SWITCH = Choice((False, True))

NETWORK_ARGUMENTS: Mapping[str, Signature] = {
    "demo": Signature(
        {"width": Whole(1, 256), "depth": Whole(0, 16), **_JOINTS}, ("width",), multiple=16
    ),
    "demo_bottom_up": Signature({"width": Whole(1, 256), **_JOINTS}, multiple=64),
    "fastpose": Signature(
        {"layers": _RESNETS, "deformable": _SWITCH, "head": Choice((128, 256)), **_JOINTS},
        multiple=32,
    ),
    "fastpose_duc": Signature(
        {"layers": _RESNETS, "backbone": Choice(("shuffle", "se")), **_JOINTS}, multiple=32
    ),
    "gluon_simple_pose": Signature(
        {"layers": Choice((18, 50, 101, 152)), "stem": Choice(("v1b", "v1d")), **_JOINTS},
        ("layers", "stem"),
        multiple=32,
    ),
    "higherhrnet": Signature(
        {"width": Whole(1, 96), **_JOINTS, "scale_layers": _SWITCH}, multiple=32
    ),
    "hourglass": Signature(
        {"stacks": Whole(1, 16), "features": Whole(4, 384, 4), "blocks": Whole(1, 2), **_JOINTS},
        multiple=64,
    ),
    "hrnet": Signature({"width": Whole(1, 96), **_JOINTS}, multiple=32),
    "lite_hrnet": Signature(
        {
            "variant": Choice(("lite_18", "lite_30", "wider_naive")),
            "width": Whole(8, 256, 2),
            **_JOINTS,
        },
        ("variant",),
        multiple=32,
    ),
    "lpn": Signature({"layers": Wholes(4, Whole(1, 64)), **_JOINTS}, multiple=16),
    "mmpose": Signature({"config": InnerPath()}, ("config",)),
    "mobile_pose": Signature(
        {
            "backbone": Choice(
                (
                    "resnet18_v1b",
                    "resnet50_v1b",
                    "mobilenet1.0",
                    "mobilenetv2_1.0",
                    "mobilenetv3_large",
                    "mobilenetv3_small",
                )
            ),
            **_JOINTS,
        },
        ("backbone",),
        multiple=32,
    ),
    "resnet_pose": Signature({"layers": _RESNETS, **_JOINTS}, multiple=32),
    "simple_pose": Signature({"layers": _RESNETS, **_JOINTS}, multiple=32),
}


def check_arguments(network: str, arguments: Mapping[str, Any]) -> None:
    """Compare the arguments of a network with what it takes; other networks pass.

    Raises:
        ValueError: An argument is missing, unknown, of another type or out of its bounds.
    """
    signature = NETWORK_ARGUMENTS.get(network)
    if signature is None:
        return
    known = signature.arguments
    for name in arguments.keys() - known.keys():
        hint = suggestion(name, known) or f"It takes {', '.join(known)}."
        raise ValueError(f"{network} has no argument {name!r} ({hint})")
    for name in signature.required:
        if name not in arguments:
            raise ValueError(f"{network} needs the argument {name}: {known[name]}")
    for name, value in arguments.items():
        if not known[name].accepts(value):
            raise ValueError(
                f"{network} cannot have {name} {shortened(value)}: it is {known[name]}"
            )


def check_input(network: str, size: tuple[int, int]) -> None:
    """Compare the size of the input with what a network can halve; other networks pass.

    Args:
        network: Its name.
        size: (height, width), pixels.

    Raises:
        ValueError: A side is not a multiple of what the network needs.
    """
    signature = NETWORK_ARGUMENTS.get(network)
    if signature and any(side % signature.multiple for side in size):
        raise ValueError(
            f"{network} cannot take an input of {size[0]}x{size[1]}: both sides are multiples of "
            f"{signature.multiple}"
        )


def check_plain(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return arguments that are plain values: text, numbers, switches, and lists of them.

    Raises:
        ValueError: Something else, or more of it than a network needs.
    """
    if len(arguments) > MOST_ARGUMENTS:
        raise ValueError(f"a network has at most {MOST_ARGUMENTS} arguments")
    for name, value in arguments.items():
        if not name.isidentifier() or len(name) > LONGEST_TEXT:
            raise ValueError(f"{shortened(name)} is not the name of an argument")
        items = value if isinstance(value, list | tuple) else (value,)
        if len(items) > LONGEST_LIST or not all(map(_is_plain, items)):
            raise ValueError(
                f"{name} is {shortened(value)}: an argument is a switch, a finite number, a text "
                f"of at most {LONGEST_TEXT} characters or a short list of these"
            )
    return arguments


def shortened(value: Any) -> str:
    """Return a value as a message shows it, of any length and depth."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _is_plain(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, str):
        return len(value) <= LONGEST_TEXT
    return value is None or (isinstance(value, int) and abs(value) <= LARGEST)

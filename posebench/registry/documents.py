"""YAML to plain values that remember their lines.

The C parser of PyYAML composes the nodes where it is present; values are made here, so that
duplicate keys, aliases and tags are refused and every error can name a line.  Plain scalars follow
YAML 1.2's core rules: ``no`` is a word, ``1:30`` is not a number.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from posebench.types.errors import UserError

_WORDS: dict[str, Any] = {
    **{"": None, "~": None, "null": None},
    **{"true": True, "false": False},
}
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
DEEPEST = 100  # levels; the registry has a dozen
LONGEST_NUMBER = 300  # digits; Python refuses some thousands, floats end before
LONGEST_TEXT = 20_000  # characters
LARGEST = 8 << 20  # bytes; the largest zoo has a twentieth of that
# What moves a terminal's cursor, turns the direction of writing or cannot be written as UTF-8.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
_PLAIN = "plain"
_QUOTED = "quoted"
_STARTS_NUMBER = frozenset("+-.0123456789")


def composer(base: type) -> Any:
    """Return a loader class that only composes nodes; tags tell how a scalar was written.

    Args:
        base: ``yaml.CSafeLoader``, or ``yaml.SafeLoader`` where libyaml is absent.
    """

    class Composer(base):  # type: ignore[misc]
        depth = 0

        def descend_resolver(self, parent: yaml.Node | None, index: Any) -> None:
            # the C parser recurses without looking, down to the end of the process
            self.depth += 1
            if self.depth > DEEPEST:
                raise RecursionError

        def ascend_resolver(self) -> None:
            self.depth -= 1

        def resolve(self, kind: type[yaml.Node], value: str | None, implicit: Any) -> str:
            if kind is yaml.ScalarNode:
                return _PLAIN if implicit[0] else _QUOTED
            return ""

    return Composer


_Loader = composer(getattr(yaml, "CSafeLoader", yaml.SafeLoader))


@dataclass(frozen=True)
class Document:
    """A parsed file.

    Attributes:
        name: How messages call the file.
        value: Its content: dicts, lists, strings, numbers, booleans and None.
        root: The nodes the content was made from.
    """

    name: str
    value: Any
    root: yaml.Node | None

    def line(self, path: Iterable[str | int] = ()) -> int:
        """Return the line (from 1) of what stands at ``path``, or of the nearest thing above it."""
        node, line = self.root, 1
        if node is not None:
            line = node.start_mark.line + 1
        for step in path:
            if isinstance(node, yaml.MappingNode):
                pair = next((kv for kv in node.value if kv[0].value == str(step)), None)
                if pair is None:
                    continue
                line, node = pair[0].start_mark.line + 1, pair[1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(step, int):
                if not 0 <= step < len(node.value):
                    break
                node = node.value[step]
                line = node.start_mark.line + 1
        return line

    def error(self, message: str, path: Iterable[str | int] = (), hint: str = "") -> UserError:
        """Return an error that names the file and the line of ``path``."""
        return UserError(f"{self.name}:{self.line(path)}: {message}", hint)


def parse(text: str, name: str) -> Document:
    """Parse one YAML document.

    Args:
        text: The document.
        name: How messages call it.

    Raises:
        UserError: It is not YAML, or uses an alias, a tag or a key twice.
    """
    try:
        loader = _Loader(text)
        try:
            root = loader.get_single_node()
        finally:
            loader.dispose()
        return Document(name, None if root is None else _Builder(name).build(root), root)
    except yaml.YAMLError as error:
        raise _yaml_error(error, name) from None
    except RecursionError:
        raise UserError(f"{name}: nested too deeply.", "Write it flatter.") from None


def read(path: Path, name: str | None = None) -> Document:
    """Parse the YAML file at ``path``; messages call it ``name`` (its file name if not given).

    Raises:
        UserError: The file cannot be read, or is refused by ``parse``.
    """
    name = name or path.name
    try:
        # a pipe would never end
        if (path.exists() and not path.is_file()) or path.stat().st_size > LARGEST:
            raise UserError(
                f"{name} cannot be read: it is not an ordinary file of at most {LARGEST:,} bytes.",
                "Check the file.",
            )
        return parse(path.read_text(encoding="utf-8"), name)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{name} cannot be read: {error}.", "Check the file.") from None


class _Builder:
    """Makes values from nodes; a node met twice is an alias."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.seen: set[int] = set()

    def build(self, node: yaml.Node) -> Any:
        if id(node) in self.seen:
            raise self.error(node, "aliases (*name) are not allowed", "Write the value out.")
        self.seen.add(id(node))
        if isinstance(node, yaml.ScalarNode):
            return self.scalar(node)
        if node.tag:
            raise self.error(node, f"the tag {node.tag} is not allowed", "Leave it out.")
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item) for item in node.value]
        return self.mapping(node)

    def mapping(self, node: yaml.Node) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise self.error(key, "a key must be a word", "Write key: value.")
            if key.value in found:
                raise self.error(key, f"the key {key.value!r} stands twice", "Keep one of them.")
            found[self.text(key)] = self.build(value)
        return found

    def scalar(self, node: yaml.Node) -> Any:
        text: str = node.value
        if node.tag == _QUOTED:
            return self.text(node)
        if node.tag != _PLAIN:
            raise self.error(node, f"the tag {node.tag} is not allowed", "Leave it out.")
        if text[:1] in _STARTS_NUMBER and _NUMBER.fullmatch(text):
            if len(text) > LONGEST_NUMBER:
                raise self.error(node, f"a number of {len(text)} digits", "Write a shorter one.")
            return self.number(node)
        return _WORDS[text] if text in _WORDS else self.text(node)

    def number(self, node: yaml.Node) -> int | float:
        text: str = node.value
        if not set(text) & set(".eE"):
            return int(text)
        if not math.isfinite(float(text)):
            raise self.error(node, f"{text} is too large a number", "Write a smaller one.")
        return float(text)

    def text(self, node: yaml.Node) -> str:
        text: str = node.value
        if len(text) > LONGEST_TEXT:
            raise self.error(node, f"a text of {len(text)} characters", "Write a shorter one.")
        found = _UNPRINTABLE.search(text)
        if found:
            raise self.error(node, f"the control character {found[0]!r} in a text", "Remove it.")
        return text

    def error(self, node: yaml.Node, message: str, hint: str) -> UserError:
        return UserError(f"{self.name}:{node.start_mark.line + 1}: {message}.", hint)


def _yaml_error(error: yaml.YAMLError, name: str) -> UserError:
    mark = getattr(error, "problem_mark", None)
    where = f"{name}:{mark.line + 1}" if mark else name
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    return UserError(f"{where}: not valid YAML ({problem}).", "Correct that line.")

"""A first look at a pickle without running it: is it whole, and does it stay as small as it is?

A pickle is a program for a stack machine. The walk here follows that program with stand-ins: it
knows what would be on the stack and what would hold what, and makes none of it. So it finds,
before anything is made, programs of some hundred bytes whose values no machine can hash, compare,
print or hold.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, BinaryIO

# A file with every tensor of the largest networks and their optimiser's state has some 100,000.
MOST_STEPS = 1_000_000
MOST_GLOBALS = 1_000
DEEPEST = 200
# What a value may unfold to where it is shared: so many values, and so many more a byte.
UNFOLDED = 1_000_000
UNFOLDED_PER_BYTE = 2
TEXT_PER_VALUE = 16  # characters that count as one value
# Larger whole numbers can be chosen so that all of them have one hash.
LARGEST_KEY = 1 << 63
# Calls that take a collection of keys, and those that take text and the name of its encoding.
KEYED = ("collections.OrderedDict", "collections.Counter", "builtins.dict", "builtins.set")
ENCODE = "_codecs.encode"
ENCODED = (ENCODE, "builtins.bytearray", "builtins.bytes")
ENCODINGS = ("latin1", "latin-1")
# Calls another function; that one is considered instead.
INDIRECT = "torch._tensor._rebuild_from_type_v2"
MARK = object()
TEXT = (str, bytes, bytearray)


class Refused(Exception):
    """A pickle asks for a thing that tensors do not need; the text names it.

    Attributes:
        named: ``module.name`` of what the pickle names.
    """

    named: frozenset[str] = frozenset()


class Damaged(Exception):
    """A pickle is cut short or contradicts itself; the text says how."""


class Node:
    """Stands in for a value that holds others.

    Attributes:
        kind: ``tuple``, ``list``, ``dict``, ``set``, ``call``, ``storage``, or ``global``.
        parts: What it holds; plain values stand for themselves.
        name: ``module.name`` of a global.
    """

    __slots__ = ("kind", "name", "parts")

    def __init__(self, kind: str, parts: Iterable[Any] = (), name: str = "") -> None:
        self.kind = kind
        self.parts = list(parts)
        self.name = name


def inspect_pickle(stream: BinaryIO) -> set[str]:
    """Follow one pickle's steps up to its STOP; the stream is left behind it.

    Nothing is built. Besides cut and garbled streams this finds memo indices without a reason
    (the C unpickler allocates its memo table up to the highest index it is told), keys that could
    be chosen to take forever to hash, values that hold themselves or unfold without limit, and
    calls that would make what the file does not hold.

    Returns:
        ``module.name`` of everything the pickle names, with Python 3's name of ``builtins``.

    Raises:
        Damaged: The stream is not a whole pickle.
        Refused: It is not one of weights.
    """
    start = stream.tell()
    machine = _Machine()
    try:
        for opcode, argument, _ in pickletools.genops(stream):
            machine.step(opcode.name, argument)
        check_unfolded(machine.nodes, UNFOLDED + UNFOLDED_PER_BYTE * (stream.tell() - start))
    except Refused as error:
        error.named = frozenset(machine.globals)
        raise
    except Damaged:
        raise
    except (IndexError, KeyError, AttributeError, TypeError) as error:
        raise Damaged("its steps do not fit together") from error
    except Exception as error:  # genops raises whatever the garbled bytes lead to
        raise Damaged(str(error) or type(error).__name__) from error
    return machine.globals


def check_unfolded(nodes: Sequence[Node], most: int) -> None:
    """Refuse values that hold themselves, and those that are far larger than their parts.

    A tuple of twice the same tuple is two steps of a pickle; forty levels of that are two to the
    power of forty values for whatever looks at all of them. What is handed to calls counts
    together, because each call may copy it.

    Raises:
        Refused: One of the nodes is such a value.
    """
    sizes: dict[Node, int] = {}
    depths: dict[Node, int] = {}
    entered: set[Node] = set()
    copied = 0
    for root in nodes:
        waiting = [root]
        while waiting:
            node = waiting[-1]
            inner = [part for part in node.parts if isinstance(part, Node)]
            if node not in entered:
                entered.add(node)
                if any(part in entered and part not in sizes for part in inner):
                    raise Refused("a value that holds itself")
                waiting += [part for part in inner if part not in sizes]
                continue
            waiting.pop()
            if node in sizes:
                continue
            plain = sum(_size(part) for part in node.parts if not isinstance(part, Node))
            sizes[node] = 1 + plain + sum(sizes[part] for part in inner)
            depths[node] = 1 + max((depths[part] for part in inner), default=0)
            copied += sizes[node] if node.kind == "call" else 0
            if max(sizes[node], copied) > most:
                raise Refused(f"values that unfold to more than {most:,}")
            if depths[node] > DEEPEST:
                raise Refused(f"values nested more than {DEEPEST} levels deep")


def _size(plain: Any) -> int:
    return 1 + len(plain) // TEXT_PER_VALUE if isinstance(plain, TEXT) else 1


class _Machine:
    """The stack machine of pickles, with stand-ins.

    Attributes:
        nodes: Everything that would be made.
        globals: Everything that is named.
    """

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.nodes: list[Node] = []
        self.globals: set[str] = set()
        self.count = 0

    def step(self, name: str, argument: Any) -> None:
        """Follow one step.

        Raises:
            Damaged: It does not fit those before it.
            Refused: It is one that no weights need.
        """
        self.work(1)
        if name in _PLAIN:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        elif name in _STEPS:
            _STEPS[name](self, argument)
        elif name not in _NOTHING:
            raise Refused(f"the step {name} of pickles")

    def work(self, count: int) -> None:
        self.count += count
        if self.count > MOST_STEPS:
            raise Refused(f"more than {MOST_STEPS:,} steps")

    def make(self, kind: str, parts: Iterable[Any] = (), name: str = "") -> None:
        node = Node(kind, parts, name)
        self.nodes.append(node)
        self.stack.append(node)

    def pop(self) -> Any:
        value = self.stack.pop()
        if value is MARK:
            raise Damaged("its marks do not fit together")
        return value

    def pop_many(self, count: int) -> list[Any]:
        return [self.pop() for _ in range(count)][::-1]

    def pop_mark(self) -> list[Any]:
        found: list[Any] = []
        while (value := self.stack.pop()) is not MARK:
            found.append(value)
        return found[::-1]

    def forget(self) -> None:
        """Drop what is on top, which may be a mark."""
        self.stack.pop()

    def top(self) -> Any:
        value = self.pop()
        self.stack.append(value)
        return value

    def put(self, index: int) -> None:
        if index > self.count:
            raise Damaged(f"its memo index {index} is beyond its {self.count} steps")
        self.memo[index] = self.top()

    def fill(self, items: list[Any]) -> None:
        """Put items into the list, or what takes its place, that is on top."""
        self.top().parts.extend(items)

    def fill_keys(self, items: list[Any], step: int) -> None:
        """Put keys, every ``step``th item, and what belongs to them into what is on top."""
        for key in items[::step]:
            _check_key(key)
        self.fill(items)

    def make_keyed(self, kind: str, step: int) -> None:
        items = self.pop_mark()
        self.make(kind)
        self.fill_keys(items, step)

    def name_global(self, module: str, name: str) -> None:
        # protocol 2 writes Python 2's name of the module
        full = f"{module.replace('__builtin__', 'builtins')}.{name}"
        self.globals.add(full)
        if len(self.globals) > MOST_GLOBALS:
            raise Refused(f"more than {MOST_GLOBALS:,} names")
        self.make("global", name=full)

    def call(self, function: Node, arguments: Node, names: Any = None) -> None:
        self.check_call(function, arguments.parts)
        self.make("call", (function, arguments, names))

    def check_call(self, function: Node, arguments: list[Any]) -> None:
        """Look at a call that torch or one of our readers would make.

        Raises:
            Refused: It would make what the file does not hold, or hash what it should not.
        """
        name = function.name
        if name == INDIRECT:
            inner, _, given, *_ = arguments
            self.check_call(inner, given.parts)
        elif name in KEYED:
            for argument in arguments:
                self.check_keys(argument, alone=name == "builtins.set")
        elif name in ENCODED and arguments:
            text, *encoding = arguments
            if not (isinstance(text, TEXT) or (name != ENCODE and _is_encoded(text))):
                raise Refused(f"{name} of something other than text")
            if encoding and encoding[0] not in ENCODINGS:
                raise Refused(f"{name} with {str(encoding[0])[:40]!r}")
        elif name.startswith("torch.") and name.endswith("Tensor") and arguments:
            # a size, whose memory would be taken at once
            raise Refused(f"{name} with values that the file does not hold")

    def check_keys(self, argument: Node, *, alone: bool) -> None:
        """Look at the keys of a collection that becomes another one; or at pairs with them."""
        if argument.kind in ("dict", "set"):
            return  # considered when they were made
        self.work(len(argument.parts))
        for item in argument.parts:
            _check_key(item if alone else item.parts[0])


def _is_encoded(value: Any) -> bool:
    """Whether a value is the bytes that a call makes of text, as protocol 2 writes them."""
    return isinstance(value, Node) and value.kind == "call" and value.parts[0].name == ENCODE


def _check_key(key: Any) -> None:
    """Refuse keys whose hash could be chosen, or could take forever.

    Raises:
        Refused: It is not text or a moderate number.
    """
    if isinstance(key, Node) and not _is_encoded(key):
        raise Refused("a key that is neither text nor a number")
    if isinstance(key, int) and not -LARGEST_KEY <= key < LARGEST_KEY:
        raise Refused("a key that is a number of more than 64 bits")


_PLAIN = frozenset(
    [
        "INT",
        "BININT",
        "BININT1",
        "BININT2",
        "LONG",
        "LONG1",
        "LONG4",
        "STRING",
        "BINSTRING",
        "SHORT_BINSTRING",
        "BINBYTES",
        "SHORT_BINBYTES",
        "BINBYTES8",
        "BYTEARRAY8",
        "UNICODE",
        "SHORT_BINUNICODE",
        "BINUNICODE",
        "BINUNICODE8",
        "FLOAT",
        "BINFLOAT",
    ]
)
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "MARK": MARK}
_NOTHING = frozenset(("PROTO", "FRAME", "STOP"))
_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    "EMPTY_LIST": lambda m, _: m.make("list"),
    "EMPTY_TUPLE": lambda m, _: m.make("tuple"),
    "EMPTY_DICT": lambda m, _: m.make("dict"),
    "EMPTY_SET": lambda m, _: m.make("set"),
    "LIST": lambda m, _: m.make("list", m.pop_mark()),
    "TUPLE": lambda m, _: m.make("tuple", m.pop_mark()),
    "TUPLE1": lambda m, _: m.make("tuple", m.pop_many(1)),
    "TUPLE2": lambda m, _: m.make("tuple", m.pop_many(2)),
    "TUPLE3": lambda m, _: m.make("tuple", m.pop_many(3)),
    "DICT": lambda m, _: m.make_keyed("dict", 2),
    "FROZENSET": lambda m, _: m.make_keyed("set", 1),
    "APPEND": lambda m, _: m.fill(m.pop_many(1)),
    "APPENDS": lambda m, _: m.fill(m.pop_mark()),
    "SETITEM": lambda m, _: m.fill_keys(m.pop_many(2), 2),
    "SETITEMS": lambda m, _: m.fill_keys(m.pop_mark(), 2),
    "ADDITEMS": lambda m, _: m.fill_keys(m.pop_mark(), 1),
    "POP": lambda m, _: m.forget(),
    "POP_MARK": lambda m, _: m.pop_mark().clear(),
    "DUP": lambda m, _: m.stack.append(m.top()),
    "GET": lambda m, index: m.stack.append(m.memo[int(index)]),
    "BINGET": lambda m, index: m.stack.append(m.memo[index]),
    "LONG_BINGET": lambda m, index: m.stack.append(m.memo[index]),
    "PUT": lambda m, index: m.put(int(index)),
    "BINPUT": lambda m, index: m.put(index),
    "LONG_BINPUT": lambda m, index: m.put(index),
    "MEMOIZE": lambda m, _: m.put(len(m.memo)),
    "GLOBAL": lambda m, words: m.name_global(*words.split(" ", 1)),
    "STACK_GLOBAL": lambda m, _: m.name_global(*m.pop_many(2)),
    "REDUCE": lambda m, _: m.call(*m.pop_many(2)),
    "NEWOBJ": lambda m, _: m.call(*m.pop_many(2)),
    "NEWOBJ_EX": lambda m, _: m.call(*m.pop_many(3)),
    "BUILD": lambda m, _: m.fill(m.pop_many(1)),
    "PERSID": lambda m, identity: m.make("storage", [identity]),
    "BINPERSID": lambda m, _: m.make("storage", m.pop_many(1)),
}

"""Programs of pickles whose values no machine can hash, print or hold; and files around them."""

from __future__ import annotations

import io
import pickle
import pickletools
import random
import zipfile
from collections.abc import Callable
from pathlib import Path

LEVELS = 44
HEAD = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}]


def text(value: str) -> bytes:
    data = value.encode()
    return b"X" + len(data).to_bytes(4, "little") + data


def number(value: int) -> bytes:
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def put(index: int) -> bytes:
    return b"r" + index.to_bytes(4, "little")


def get(index: int) -> bytes:
    return b"j" + index.to_bytes(4, "little")


# --- values that unfold ---------------------------------------------------------------------------


def tuples(chance: random.Random) -> bytes:
    """A tuple of twice the same tuple, some dozens of times."""
    levels = chance.randint(30, LEVELS)
    if chance.random() < 0.5:
        return b")" + b"2\x86" * levels
    inner = b")" + put(0)
    for level in range(levels):
        inner += get(level) * 2 + b"\x86" + put(level + 1)
    # what torch's own reader leaves on the stack is taken along
    return b"(" + inner + b"t"


def threes(chance: random.Random) -> bytes:
    return b"K\x01" + b"22\x87" * chance.randint(25, 60)


def lists(chance: random.Random) -> bytes:
    """Likewise of lists, or of dicts, which only printing and comparing would follow."""
    kind = chance.choice([(b"]", b"e"), (b"}", b"u")])
    data = b"(" + kind[0] + put(0)
    for level in range(chance.randint(30, LEVELS)):
        items = get(level) * 2 if kind[0] == b"]" else b"".join(
            text(key) + get(level) for key in "ab"
        )  # fmt: skip
        data += kind[0] + put(level + 1) + b"(" + items + kind[1]
    return data + b"t"


def late_lists(chance: random.Random) -> bytes:
    """Lists that are filled after others hold them."""
    levels = chance.randint(30, LEVELS)
    data = b"("
    for level in range(levels):
        data += b"]" + put(level)
    for level in range(levels - 1):
        data += get(level) + b"(" + get(level + 1) * 2 + b"e"
    return data + b"t"


def cycle(chance: random.Random) -> bytes:
    """Lists that all hold each other."""
    count = chance.randint(1, 14)
    made = b"(" + b"".join(b"]" + put(level) for level in range(count))
    everything = b"".join(get(level) for level in range(count))
    return made + b"".join(get(k) + b"(" + everything + b"e" for k in range(count)) + b"t"


def deep(chance: random.Random) -> bytes:
    kind = chance.choice([b"\x85", b""])
    count = chance.randint(2_000, 60_000)
    return b")" + kind * count if kind else b"]" * count + b"a" * (count - 1)


def encoded(chance: random.Random) -> bytes:
    """Text that doubles with every call."""
    codec = chance.choice(["hex", "unicode_escape", "utf-32", "quopri"])
    data = b"c_codecs\nencode\n" + put(0) + text("abcdefgh") + text("latin1") + b"\x86R"
    for level in range(1, 36):
        data += put(level) + get(0) + get(level) + text(codec) + b"\x86R"
    return data


def copies(chance: random.Random) -> bytes:
    """A long value that thousands of calls copy."""
    many = chance.randint(10_000, 25_000)
    name, value = chance.choice(
        [
            (b"cbuiltins\ntuple\n", b"](" + b"N" * many + b"e"),
            (b"ccollections\nOrderedDict\n", b"](" + b"]K\x01aK\x02a" * many + b"e"),
            (b"c_codecs\nencode\n", text("a" * 16 * many)),
        ]
    )
    encoding = text("latin1") + b"\x86" if b"encode" in name else b"\x85"
    call = get(0) + get(1) + encoding + b"R"
    keep = call if chance.random() < 0.5 else call + put(2) + b"0"
    return b"(" + name + put(0) + value + put(1) + keep * many + b"t"


def memory(chance: random.Random) -> bytes:
    """A call that takes as much memory as it is told."""
    size = number(chance.choice([1 << 33, 1 << 40, 1 << 50]))
    plain = chance.choice([b"cbuiltins\nbytearray\n", b"ctorch\nTensor\n", b"ctorch\nFloatTensor\n",
                           b"cbuiltins\nbytes\n"])  # fmt: skip
    if chance.random() < 0.4:
        return (
            b"ctorch._tensor\n_rebuild_from_type_v2\n("
            + plain
            + b"ctorch\nTensor\n"
            + size
            + b"\x85}tR"
        )
    return plain + size + b"\x85" + chance.choice([b"R", b"\x81"])


def named(chance: random.Random) -> bytes:
    """Thousands of names."""
    return b"(" + b"".join(b"ctorch\nx%d\n" % k for k in range(chance.randint(3_000, 9_000))) + b"t"


def steps(chance: random.Random) -> bytes:
    """Nothing, a million times."""
    return b"N" + b"N0" * chance.randint(600_000, 900_000)


def soup(chance: random.Random) -> bytes:
    """Steps without a plan."""
    known = [op for op in pickletools.opcodes if op.name not in ("PROTO", "STOP", "FRAME")]
    plain = [op.code.encode("latin1") for op in known if op.arg is None]
    return b"N" * 5 + b"".join(chance.choice([*plain, b"N", b"K\x01", b"(", put(0), get(0),
    text("a")])
                               for _ in range(chance.randint(5, 60)))  # fmt: skip


# How often each; counting to a million takes two seconds.
VALUES: dict[Callable[[random.Random], bytes], int] = {
    tuples: 20, threes: 10, lists: 10, late_lists: 10, cycle: 10, deep: 10, encoded: 10, copies: 5,
    memory: 10, named: 5, soup: 10, steps: 1,
}  # fmt: skip

# --- where something would follow them ------------------------------------------------------------


def colliding(chance: random.Random) -> bytes:
    """Numbers that all have one hash."""
    modulus = (1 << 61) - 1
    keys = [number(modulus * (k + 1)) for k in range(chance.randint(20_000, 40_000))]
    return b"}(" + b"".join(key + b"N" for key in keys) + b"u"


def placed(value: bytes, chance: random.Random) -> bytes:
    """Put a value where a reader would hash, compare, print or keep it."""
    dtype = b"cnumpy\ndtype\n" + text("f4") + b"\x85R"
    rebuilt = b"cnumpy.core.multiarray\n_reconstruct\n)R"
    return chance.choice(
        [
            b"}" + value + b"Ns",
            b"}(" + value + b"Nu",
            b"(" + value + b"Nd",
            b"\x8f(" + value + b"\x90",
            b"(" + value + b"\x91",
            b"ccollections\nOrderedDict\n](](" + value + b"Neee\x85R"[1:],
            b"cbuiltins\nset\n](" + value + b"e\x85R",
            b"ccollections\nCounter\n}" + value + b"Ns\x85R",
            b"}" + text("w") + value + b"s",
            b"}" + text("state_dict") + b"}" + text("w") + value + b"ss",
            b"}" + text("w") + b"cnumpy\ndtype\n" + value + b"\x85Rs",
            b"}"
            + text("w")
            + rebuilt
            + b"(K\x01"
            + value
            + dtype
            + b"\x89"
            + text("1234")
            + b"tbs",
            b"}" + text("w") + rebuilt + value + b"bs",
            b"}" + text("w") + b"ctorch._utils\n_rebuild_tensor_v2\n" + value + b"\x85Rs",
            b"}" + text("w") + b"ctorch\nSize\n" + value + b"\x85Rs",
            b"}" + text("w") + b"(" + text("storage") + value + b"tQs",
            b"}" + text("UnpackBigParamInfor@@") + value + b"s",
            b"}" + text("w") + value + b"Qs",
        ]
    )


def program(seed: int) -> bytes:
    """Return a pickle, the same one for the same seed."""
    chance = random.Random(seed)
    if chance.random() < 0.05:
        return b"\x80\x02" + colliding(chance) + b"."
    value = chance.choices(list(VALUES), list(VALUES.values()))[0](chance)
    body = placed(value, chance)
    if chance.random() < 0.2:
        body = placed(body, chance)
    return b"\x80\x02" + body + b"."


def _zip(data: bytes, **more: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", data)
        for name, content in ({"version": b"3\n"} | more).items():
            archive.writestr(f"archive/{name}", content)
    return buffer.getvalue()


def _legacy(data: bytes) -> bytes:
    return b"".join([*(pickle.dumps(v, 2) for v in HEAD), data])


def _legacy_keys(data: bytes) -> bytes:
    return _legacy(pickle.dumps({}, 2)) + data


def _legacy_system(data: bytes) -> bytes:
    return b"".join([*(pickle.dumps(v, 2) for v in HEAD[:2]), data, pickle.dumps({}, 2)])


CONTAINERS: dict[str, Callable[[bytes], bytes]] = {
    "paddle": lambda data: data,
    "torch zip": _zip,
    "torch legacy": _legacy,
    "torch legacy, keys of storages": _legacy_keys,
    "torch legacy, system": _legacy_system,
}


def write(seed: int, folder: Path) -> Path:
    """Write a weights file with a hostile pickle in one of its places."""
    container = random.Random(-seed).choice(list(CONTAINERS))
    path = folder / "weights"
    path.write_bytes(CONTAINERS[container](program(seed)))
    return path

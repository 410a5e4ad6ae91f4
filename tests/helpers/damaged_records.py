"""Records that somebody damaged: a valid one with hostile values in random fields."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import make_records as make

from posebench.records.store import to_json
from posebench.types.record import Record
from posebench.types.timing import BenchmarkConfiguration

RESULTS = Path(__file__).parents[2] / "results"
TEXTS = (
    *("", " ", ".", "..", "../../x", "/etc/x", "abc", "nan", "1e400", "-1", "0", "1_0", "\u0661"),
    *("\x1b[31mred\x1b[0m", "\x00", "\u202e", "\r\n", "<script>alert(1)</script>", "{{ 7 * 7 }}"),
    *("a" * 300, "b" * 5000, "c" * 200_000, "%s%n", "{0}", "$x$ \\input{x}", "'\"><img src=x>"),
    *(
        "reproduced",
        "differs",
        "consistent (n=68)",
        "common@1",
        "custom",
        "custom@1",
        "demo/demo_s",
    ),
)
NUMBERS = (
    *(0, 1, -1, 2, 17, 2**31, 2**53, 2**63, -(2**63), 10**400, 0.0, -0.0, 0.5, 1.5, 100.0, 150.0),
    *(1e-300, 5e-324, 1e18, 1e300, 1.7e308, -1.7e308),
)
DATES = (
    *("2025-01-01T12:00:00", "2025-01-01", "0001-01-01T00:00:00+14:00", "yesterday"),
    *("9999-12-31T23:59:59-14:00", "1969-12-31T23:59:59Z", "2025-13-45T99:99:99Z", "1735732800"),
)
OTHERS = (None, True, False, [], {}, [None], [[1, 2], [3]], {"a": 1}, [0.0, 1e308], [1e308, -1e308])
# What no JSON library writes.
RAW = (
    *(b"", b"null", b"[]", b"{", b'"x"', b"\xff\xfe{}", b"[" * 100_000, b'{"schema_version": 2}'),
    *(b'{"schema_version": 1e400}', b'{"schema_version": NaN}', b'{"a": 1, "a": 2}'),
    *(b'{"schema_version": ' + b"9" * 5000 + b"}", b'{"schema_version": [[]]}'),
)


def bases() -> list[dict[str, Any]]:
    """Return valid records of every kind: evaluated, timed, both, failed, shipped."""
    more = {"gmacs": 0.5, "percentiles": {"p50": 0.1}, "memory": {"rss": 1}, "ceiling": 1e12}
    timings = make.timing().timings.model_copy(update=more | {"flops_per_second": 5e11})
    whole = timings.model_copy(update={"scope": "end to end", "persons_per_second": 300.0})
    cell = BenchmarkConfiguration(device="cpu", hardware="a processor")
    made: list[Record] = [
        make.evaluation(),
        make.evaluation("demo_m", complete=False, verdict="consistent (n=68)"),
        make.evaluation(timings=timings),
        make.timing(cell=cell, end_to_end=whole, timings=timings),
        make.timing(timings=None, failure="out of memory"),
    ]
    shipped = [json.loads(path.read_text()) for path in sorted(RESULTS.rglob("eval-*.json"))]
    contents = [to_json(record) for record in made] + shipped
    for content in contents:
        content["entry"]["homepage"] = ""  # the one link that leads out of a site
    return contents


def damaged(count: int, seed: int = 0) -> Iterator[bytes]:
    """Yield as many files; most are JSON whose schema version is fine."""
    rng, valid = random.Random(seed), bases()
    for number in range(count):
        if number % 20 == 19:
            yield rng.choice(RAW)
            continue
        content = json.loads(json.dumps(rng.choice(valid)))
        # each made at a moment of its own: otherwise it would be another's changed copy
        content["created"] = f"2025-02-01T00:00:00.{number:06}Z"
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            _damage(content, rng)
        data = json.dumps(content).encode()
        yield data if rng.random() < 0.95 else data[: rng.randrange(len(data))]


def _damage(content: Any, rng: random.Random) -> None:
    """Change one place: a value, the type of a value, a missing or a further key."""
    holder, key = rng.choice(list(_places(content)))
    old = holder[key]
    act = rng.random()
    if act < 0.08 and isinstance(holder, dict):
        del holder[key]
    elif act < 0.12 and isinstance(holder, dict):
        holder[rng.choice(TEXTS)[:1000]] = old
    elif act < 0.2 and isinstance(old, list):
        holder[key] = old * rng.choice((0, 2, 50))
    elif act < 0.3:
        holder[key] = rng.choice(OTHERS)
    elif isinstance(old, str) and act < 0.9:
        holder[key] = rng.choice(DATES if key == "created" else TEXTS)
    elif isinstance(old, int | float) and act < 0.9:
        holder[key] = rng.choice(NUMBERS)
    else:
        holder[key] = rng.choice((*TEXTS, *NUMBERS, *OTHERS))


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key), those of short lists and of dicts alike."""
    items = value.items() if isinstance(value, dict) else enumerate(value[:4])
    for key, item in items:
        yield value, key
        if isinstance(item, dict | list):
            yield from _places(item)

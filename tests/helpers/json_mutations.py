"""Changes of one value, key or row of a good JSON file, by kind and by bounds, from a seed."""

from __future__ import annotations

import copy
import json
import random

# Written as they stand: no Python number prints like this.
RAW = {"@1e400@": "1e400", "@-1e400@": "-1e400", "@nan@": "NaN", "@inf@": "Infinity",
       "@1E2@": "1E2", "@-0@": "-0", "@-0.0@": "-0.0"}  # fmt: skip
EDGES = [
    *(0, 1, -1, 2, 0.0, 1.0, 0.5, 0.7, 1.4, 2.0, -0.5, 1e-300, 5e-324, 1e-40, 1e-9, 1e6, 1e7),
    *(10**7 + 1, 1e14, 1e15, 1.1e15, 10**16, 2**53, 2**53 + 1, float(2**53), 2.0**54, 2**62),
    *(2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2.0**63, 2**64, 10**30, 1e300, -1e300, *RAW),
]
OTHERS = [
    *(None, True, False, [], {}, [1], [[1]], {"a": 1}, {"0": 1}),
    *("", "0", "1", "5", "900", "0x10", "nan", "true", "person", "\u0661", "1" * 51, "1" * 4),
    *("../a", "/etc/a", "C:\\a", "a" * 5000, "b/" * 3000, "\ud800.jpg", "a\0b", ".", "/"),
    *("\u00e9.jpg", "x" * 300),
]


def wrong_of(value, dice):
    """A value like another one, of another kind or beside it."""
    likes = [str(value), [value], {"0": value}, value == 1, not value, None]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        likes += [value + 0.4, value + 0.5, value / 2, float(value), -value, value + 2**53,
                  value * 1e300, value + 1, repr(value), int(value)]  # fmt: skip
    if isinstance(value, str):
        likes += [f"x/{value}", value.partition(".")[0], value.upper(), value + "\ud800", 7]
    if isinstance(value, list):
        likes += [value[:-1], [*value, 0], [str(n) for n in value], [True] * len(value),
                  "".join("1" for _ in value), {str(k): n for k, n in enumerate(value)},
                  [*value[:-1], None], [*value[:-1], [0]], tuple(reversed(value))]  # fmt: skip
    return dice.choice(likes)


def mutated(content, seed):
    """JSON text of a copy with one to three changes."""
    dice = random.Random(seed)
    content = copy.deepcopy(content)
    for _ in range(dice.choice((1, 1, 2, 3))):
        _change(content, dice)
    text = json.dumps(content)
    for marker, number in RAW.items():
        text = text.replace(json.dumps(marker), number)
    return text


def _change(at, dice):
    """Walk to some value and change it; rows of lists are the likeliest end."""
    while True:
        if not isinstance(at, (dict, list)) or not at:
            return
        key = dice.choice(sorted(at)) if isinstance(at, dict) else dice.randrange(len(at))
        inner = at[key]
        deeper = isinstance(inner, (dict, list)) and inner
        rows = deeper and isinstance(inner if isinstance(inner, dict) else inner[0], (dict, list))
        if deeper and dice.random() < (0.95 if rows else 0.5):
            at = inner
            continue
        way = dice.choice(["like", "like", "like", "edge", "edge", "other", "gone", "twice"])
        if way == "gone":
            del at[key]
        elif way == "twice" and isinstance(at, list):
            at.insert(dice.randrange(len(at) + 1), copy.deepcopy(inner))
        elif way == "other":
            at[key] = copy.deepcopy(dice.choice(OTHERS))
        elif way == "like":
            at[key] = copy.deepcopy(wrong_of(inner, dice))
        else:
            at[key] = dice.choice(EDGES)
        return

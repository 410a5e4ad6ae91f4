"""Axes of a protocol as players: what each is worth between two protocols."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from math import factorial

from posebench.types.protocol import Protocol

# Axes that only make sense together move together.
PLAYERS = Protocol.players()


def differing(start: Protocol, end: Protocol) -> list[str]:
    """Return the players on which two protocols differ."""
    changed = set(start.differences(end))
    return [player for player, axes in PLAYERS.items() if changed & set(axes)]


def mixed(start: Protocol, end: Protocol, from_end: Iterable[str]) -> Protocol:
    """Return ``start`` with some players' axes taken from ``end``."""
    changes = {axis: getattr(end, axis) for player in from_end for axis in PLAYERS[player]}
    return start.model_copy(update=changes)


def subsets(players: Sequence[str]) -> list[frozenset[str]]:
    """Return every subset, the empty and the full one included."""
    sizes = range(len(players) + 1)
    return [frozenset(chosen) for size in sizes for chosen in combinations(players, size)]


def shapley(players: Sequence[str], value: Callable[[frozenset[str]], float]) -> dict[str, float]:
    """Split value(all) - value(none) over the players, no order of joining preferred.

    Source: Shapley, "A value for n-person games", 1953.
    """
    count = len(players)
    shares = dict.fromkeys(players, 0.0)
    for player in players:
        others = [other for other in players if other != player]
        for chosen in subsets(others):
            size = len(chosen)
            weight = factorial(size) * factorial(count - size - 1) / factorial(count)
            shares[player] += weight * (value(chosen | {player}) - value(chosen))
    return shares

"""Columns of JSON rows as numpy arrays, with every value taken as it is written.

Annotations, detector boxes and results are read through this one reader.  A number is an ``int`` or
a ``float``, never a truth value or a text; nothing is rounded, cut off or converted in silence.  A
value that is not what its column holds becomes a fault of its row, and all faults are collected, so
that a message can list every one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posebench.types.arrays import Floats, Ints

Row = dict[str, Any]
Bools = NDArray[np.bool_]

# Nothing lies so far out, px; squares of it are still numbers.
FARTHEST = 1e7
# No score and no predicted coordinate is larger.
MOST = 1e15
WHOLE = (-(2**63), 2**63 - 1)  # ids: a signed number of 64 bits
EXACT = 2**53  # up to here a float holds every whole number
NUMBERS = frozenset((int, float))

_MISSING: Any = object()


class WrongValue(ValueError):
    """A value that is not what its column holds.

    Attributes:
        found: The value as a message shows it.
        reason: Why it will not do, for example ``not a whole number``.
    """

    def __init__(self, value: Any, reason: str) -> None:
        self.found, self.reason = shown(value), reason
        super().__init__(f"{self.found}, {reason}")

    def of(self, key: str) -> str:
        """Return the end of a sentence that begins with the row's name."""
        return f"has {self.found} for its {key}, {self.reason}"


def shown(value: Any) -> str:
    """Return a JSON value for a message: short, and in JSON's own words."""
    if isinstance(value, (list, dict)):
        return "a list" if isinstance(value, list) else "an object"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return repr(value[:40] if isinstance(value, str) else value)[:60]


def whole_number(value: Any, least: int = WHOLE[0], most: int = WHOLE[1]) -> int:
    """Return a whole number that is written as one: 139 or 139.0, not 139.4, "139" or true.

    Raises:
        WrongValue: It is something else or out of bounds.
    """
    if type(value) is float and value.is_integer() and abs(value) <= EXACT:
        value = int(value)
    if type(value) is not int:
        raise WrongValue(value, "not a whole number")
    if not least <= value <= most:
        raise WrongValue(value, f"outside {least:,} to {most:,}")
    return value


def real_number(value: Any, least: float, most: float) -> float:
    """Return a finite number that is written as one.

    Raises:
        WrongValue: It is something else or out of bounds.
    """
    if type(value) not in NUMBERS or not abs(value) < float("inf"):
        raise WrongValue(value, "not a finite number")
    if not least <= value <= most:
        raise WrongValue(value, f"outside {least:,.15g} to {most:,.15g}")
    return float(value)


def flag(value: Any) -> bool:
    """Return a flag that is written as COCO writes it, 0 or 1.

    Raises:
        WrongValue: It is something else, also true or false.
    """
    if type(value) not in NUMBERS or value not in (0, 1):
        raise WrongValue(value, "not 0 or 1")
    return bool(value)


def places_of(known: Ints, wanted: Ints) -> Ints:
    """Return where each wanted id is among the known ones: (N,) int64, -1 for an unknown id."""
    if not len(known):
        return np.full(len(wanted), -1, np.int64)
    order = np.argsort(known, kind="stable")
    at = np.searchsorted(known, wanted, sorter=order)
    place = order[np.minimum(at, len(known) - 1)]
    return np.where(known[place] == wanted, place, -1).astype(np.int64)


@dataclass(frozen=True)
class Rows:
    """Rows of a JSON list, read one column at a time.

    A column has one value for each row; a row with a fault has some harmless value there.

    Attributes:
        rows: The rows; one that is not an object is a fault.
        name: Names a place in the file for messages, for example ``annotation 41``.
        place: Place in the file of each row, from 0.
        faults: Place in the file -> what is wrong there first; shared with ``only``.
    """

    rows: Sequence[Any]
    name: Callable[[int], str]
    place: Sequence[int]
    faults: dict[int, str] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: Sequence[Any], name: Callable[[int], str]) -> Rows:
        """Return the rows of a whole file."""
        found = cls(rows, name, range(len(rows)))
        if not set(map(type, rows)) <= {dict}:
            for place, row in enumerate(rows):
                if not isinstance(row, dict):
                    found.refuse(place, f"is {shown(row)}, not an object")
            found = cls(
                [row if isinstance(row, dict) else {} for row in rows],
                name,
                found.place,
                found.faults,
            )
        return found

    def __len__(self) -> int:
        return len(self.rows)

    def only(self, chosen: Bools) -> Rows:
        """Return some of the rows, which go on reporting to the same faults."""
        if chosen.all():
            return self
        at = np.flatnonzero(chosen).tolist()
        return Rows([self.rows[k] for k in at], self.name, [self.place[k] for k in at], self.faults)

    def refuse(self, row: int, what: str) -> None:
        """Note a fault of a row; its first one counts."""
        place = self.place[row]
        self.faults.setdefault(place, f"{self.name(place)} {what}")

    def refuse_where(self, wrong: Bools, what: str) -> None:
        """Note the same fault of several rows."""
        for row in np.flatnonzero(wrong).tolist():
            self.refuse(row, what)

    def told(self) -> list[tuple[int, str]]:
        """Return each place with a fault and what is wrong there, in the file's order."""
        return sorted(self.faults.items())

    def whole(
        self,
        key: str,
        default: Any = _MISSING,
        *,
        least: int = WHOLE[0],
        most: int = WHOLE[1],
    ) -> Ints:
        """Return a column of whole numbers, (N,) int64; see ``whole_number``."""
        values = self._values(key, default)
        if set(map(type, values)) <= {int}:
            try:
                column = np.array(values, np.int64)
            except OverflowError:
                pass
            else:
                if not len(column) or (column.min() >= least and column.max() <= most):
                    return column
        return self._each(key, values, lambda value: whole_number(value, least, most), 0, np.int64)

    def flag(self, key: str) -> Bools:
        """Return a column of flags, (N,) bool, False for rows that do not have it; see ``flag``."""
        values = self._values(key, 0)
        if set(map(type, values)) <= {int} and set(values) <= {0, 1}:
            return np.array(values, np.bool_)
        return self._each(key, values, flag, False, np.bool_)

    def number(self, key: str, *, least: float, most: float) -> Floats:
        """Return a column of finite numbers, (N,) float64; see ``real_number``."""
        values = self._values(key, _MISSING)
        column = _numbers(values, least, most)
        if column is not None:
            return column
        return self._each(key, values, lambda value: real_number(value, least, most), least)

    def numbers(self, key: str, count: int, *, most: float, empty: bool = False) -> Floats:
        """Return a column of lists of finite numbers, (N, count) float64.

        Args:
            key: Of the column.
            count: Of numbers in each list.
            most: No number is further from 0.
            empty: Whether a row may leave the list out or empty; it is then full of zeros.
        """
        values = self._values(key, [] if empty else _MISSING)
        if empty:
            nothing = [0.0] * count
            values = [nothing if value == [] else value for value in values]
        if set(map(type, values)) <= {list} and set(map(len, values)) <= {count}:
            column = _numbers(list(chain.from_iterable(values)), -most, most)
            if column is not None:
                return column.reshape(len(values), count)
        column = np.zeros((len(values), count))
        for row, value in enumerate(values):
            if value is _MISSING:
                continue
            try:
                column[row] = list_of_numbers(value, key, count, most)
            except ValueError as error:
                self.refuse(row, str(error))
        return column

    def points(self, key: str, count: int, *, most: float) -> Floats:
        """Return a column of lists of x, y points, (N, 2 * count) float64; see ``numbers``."""
        flat = []
        for row, points in enumerate(self._values(key, _MISSING)):
            pairs = isinstance(points, list) and all(
                isinstance(point, list) and len(point) == 2 for point in points
            )
            if not pairs and points is not _MISSING:
                what = f"has {shown(points)} for its {key}, not a list of {count} points x, y"
                self.refuse(row, what)
            flat.append({key: list(chain.from_iterable(points)) if pairs else [0.0] * (2 * count)})
        return Rows(flat, self.name, self.place, self.faults).numbers(key, 2 * count, most=most)

    def texts(self, key: str, check: Callable[[str], None]) -> list[str]:
        """Return a column of texts.

        Args:
            key: Of the column.
            check: Raises ValueError for a text that will not do.
        """
        values = self._values(key, _MISSING)
        for row, value in enumerate(values):
            if value is _MISSING:
                continue
            if not isinstance(value, str):
                self.refuse(row, f"has {shown(value)} for its {key}, not a text")
                continue
            try:
                check(value)
            except ValueError as error:
                self.refuse(row, f"has {error}")
        return [value if isinstance(value, str) else "" for value in values]

    def _values(self, key: str, default: Any) -> list[Any]:
        values = [row.get(key, default) for row in self.rows]
        if default is _MISSING:
            for row, value in enumerate(values):
                if value is _MISSING:
                    self.refuse(row, f"has no {key}")
        return values

    def _each(
        self,
        key: str,
        values: Sequence[Any],
        read: Callable[[Any], Any],
        filler: Any,
        dtype: Any = np.float64,
    ) -> Any:
        """Read a column value by value, to find those that are wrong."""
        column = []
        for row, value in enumerate(values):
            try:
                column.append(filler if value is _MISSING else read(value))
            except WrongValue as error:
                self.refuse(row, error.of(key))
                column.append(filler)
        return np.array(column, dtype)


def list_of_numbers(value: Any, key: str, count: int, most: float) -> list[Any]:
    """Return a list of finite numbers as it is, once every number in it is known to be one.

    Raises:
        ValueError: It is something else; the message ends a sentence that begins with the row's
            name.
    """
    if not isinstance(value, list):
        raise ValueError(f"has {shown(value)} for its {key}, not a list of {count} numbers")
    if len(value) != count:
        raise ValueError(f"has {len(value)} numbers in {key} instead of {count}")
    for number in value:
        try:
            real_number(number, -most, most)
        except WrongValue as error:
            raise ValueError(f"has {error.found} in its {key}, {error.reason}") from None
    return value


def _numbers(values: list[Any], least: float, most: float) -> Floats | None:
    """All values at once, (N,) float64; None if any of them is not a number within bounds."""
    if not set(map(type, values)) <= NUMBERS:
        return None
    try:
        column = np.array(values, np.float64)
    except OverflowError:
        return None
    within = (column >= least) & (column <= most)  # a NaN is not
    return column if within.all() else None

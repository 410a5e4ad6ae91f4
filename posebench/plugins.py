"""Tables of everything that another package, a notebook or a script can add by name.

A ``PluginTable`` holds what posebench ships, what installed packages offer through an entry point
group, and what ``register`` added in this process. Nothing is imported before its name is looked
up, and entry points are read only when a name is not built in or when all names are listed.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, reduce
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from posebench.types.base import NAME_PATTERN
from posebench.types.errors import UserError
from posebench.types.suggestions import suggestion

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

T = TypeVar("T")
POSEBENCH = "posebench"


class UnknownName(UserError, KeyError):
    """A name that a ``PluginTable`` does not hold; a ``KeyError`` too, as of any mapping."""


@dataclass(frozen=True)
class Offer(Generic[T]):
    """What stands behind one name.

    Attributes:
        target: The object, or ``module:attribute`` where it is to be imported from.
        owner: ``posebench``, a package with its version, or ``module NAME`` that registered it.
        package: Name of the package that can be updated or uninstalled; empty for the others.
    """

    target: str | T
    owner: str
    package: str = ""


class PluginTable(Mapping[str, T], Generic[T]):
    """Name -> object, from posebench, from installed packages and from this process.

    Args:
        kind: What the objects are, for messages, e.g. ``network``.
        group: Entry point group of installed packages, e.g. ``posebench.networks``.
        built_in: What posebench ships: the object, or ``module:attribute``, which is imported
            when it is first needed.
        wanted: Type that an object must have; None for any function.
        check: Called with the name and an object that is not built in; raises ``ValueError``, with
            words that continue "The network 'x' of package 1.0 cannot be used: ...", where the
            object makes no sense.
        reserved: Names that posebench uses for something that is not in the table.
        pattern: What names look like.

    Attributes:
        built_in: As given.
        registered: What ``register`` added, with who did.

    Example:
        >>> table = PluginTable("rule", "example.rules", {"half": "operator:truediv"})
        >>> table["half"](3, 2)
        1.5
        >>> table.register("whole", lambda a, b: a // b)
        >>> sorted(table)
        ['half', 'whole']
        >>> table["hlf"]
        Traceback (most recent call last):
            ...
        posebench.plugins.UnknownName: Unknown rule 'hlf'. Did you mean half?
    """

    def __init__(
        self,
        kind: str,
        group: str,
        built_in: Mapping[str, str | T],
        *,
        wanted: type | None = None,
        check: Callable[[str, T], None] | None = None,
        reserved: Collection[str] = (),
        pattern: str = NAME_PATTERN,
    ) -> None:
        self.kind = kind
        self.group = group
        self.built_in: dict[str, str | T] = dict(built_in)
        self.registered: dict[str, Offer[T]] = {}
        self.reserved = reserved
        self._pattern = pattern
        self._wanted = wanted
        self._check = check
        self._installed: dict[str, Offer[T]] | None = None

    # --- as a mapping -----------------------------------------------------------------------------

    def __getitem__(self, name: str) -> T:
        """Return the object of a name, imported where necessary.

        Raises:
            UserError: The name is unknown, two packages offer it, or the package that offers it
                cannot be imported or offers something else.
        """
        offer = self._offer(name)
        if offer is None:
            raise self._unknown(name)
        return self._object(name, offer)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._offer(name) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*self.built_in, *self._plug_ins(), *self.registered)))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    # --- beyond a mapping -------------------------------------------------------------------------

    @property
    def names(self) -> Names:
        """Every name that may be given: the table's and the reserved ones."""
        return Names(self)

    def known(self, name: str) -> str:
        """Return a name that the table holds or reserves; nothing is imported.

        Raises:
            UserError: There is no such name.
        """
        if name not in self.reserved and name not in self:
            raise self._unknown(name)
        return name

    def owner(self, name: str) -> str:
        """Return who offers a name: ``posebench``, a package with its version, or a module.

        Raises:
            UserError: The name is unknown.
        """
        offer = self._offer(name)
        if offer is None:
            raise self._unknown(name)
        return offer.owner

    def register(self, name: str, value: str | T) -> None:
        """Add an object under a new name, in this process alone.

        A module may register a name again, as a cell of a notebook does that is run again: the new
        object replaces the old one.

        Args:
            name: Small letters, digits, ``_`` and ``.``.
            value: The object, or ``module:attribute``.

        Raises:
            UserError: The name is taken, or the object is not what the table holds.
        """
        owner = f"module {sys._getframe(1).f_globals.get('__name__', '?')}"
        self._check_name(name, owner)
        offer: Offer[T] = Offer(value, owner)
        earlier = self._offer(name)
        taken = POSEBENCH if name in self.reserved else earlier.owner if earlier else owner
        if taken != owner:
            raise self._clash(name, owner, taken, "Choose another name.")
        self._object(name, offer)
        self.registered[name] = offer

    # --- inside -----------------------------------------------------------------------------------

    def _offer(self, name: str) -> Offer[T] | None:
        if name in self.built_in:
            return Offer(self.built_in[name], POSEBENCH)
        if name in self.registered:
            return self.registered[name]
        return self._plug_ins().get(name)

    def _plug_ins(self) -> dict[str, Offer[T]]:
        """Return what installed packages offer; read once.

        Raises:
            UserError: A name is taken, or no name at all.
        """
        if self._installed is None:
            found: dict[str, Offer[T]] = {}
            for point in installed_points(self.group):
                offer: Offer[T] = Offer(point.value, *_origin(point))
                self._check_name(point.name, offer.owner)
                taken = point.name in self.built_in or point.name in self.reserved
                earlier = found.get(point.name)
                # an editable install may leave its metadata in two places
                if taken or (earlier is not None and earlier.target != offer.target):
                    owner = earlier.owner if earlier else POSEBENCH
                    raise self._clash(point.name, offer.owner, owner, "Uninstall one of them.")
                found[point.name] = offer
            self._installed = found
        return self._installed

    def _object(self, name: str, offer: Offer[T]) -> T:
        if offer.owner == POSEBENCH:
            target: Any = offer.target
            return resolve(target) if isinstance(target, str) else target
        hint = f"Update or uninstall {offer.package}." if offer.package else "Register another one."
        whose = f"The {self.kind} {name!r} of {offer.owner}"
        value: Any = offer.target
        if isinstance(value, str):
            try:
                value = resolve(value)
            except Exception as error:  # code of others: anything may be wrong with it
                raise UserError(
                    f"{whose} cannot be loaded from {offer.target}: {first_line(error)}.", hint
                ) from error
        wanted = self._wanted
        if not (callable(value) if wanted is None else isinstance(value, wanted)):
            expected = f"a {wanted.__module__}.{wanted.__name__}" if wanted else "a function"
            raise UserError(f"{whose} is of type {type(value).__name__}, not {expected}.", hint)
        if self._check is not None:
            try:
                self._check(name, value)
            except ValueError as error:
                raise UserError(f"{whose} cannot be used: {error}.", hint) from error
        found: T = value
        return found

    def _check_name(self, name: str, owner: str) -> None:
        if not re.fullmatch(self._pattern, name):
            raise UserError(
                f"{owner} offers a {self.kind} named {name[:100]!r}.",
                "A name has small letters, digits, _ and . only.",
            )

    def _clash(self, name: str, owner: str, earlier: str, hint: str) -> UserError:
        return UserError(
            f"The {self.kind} {name!r} of {owner} is already registered by {earlier}.", hint
        )

    def _unknown(self, name: str) -> UnknownName:
        hint = suggestion(name, self.names) or f"Known: {', '.join(sorted(self.names))}."
        return UnknownName(f"Unknown {self.kind} {name!r}.", hint)


class Names(Collection[str]):
    """Every name of a table, the reserved ones included, read when it is considered.

    Made for ``argparse``: a choice that is built in is accepted without reading entry points.
    """

    def __init__(self, table: PluginTable[Any]) -> None:
        self._table = table

    def __bool__(self) -> bool:
        return True

    def __contains__(self, name: object) -> bool:
        return name in self._table.reserved or name in self._table

    def __iter__(self) -> Iterator[str]:
        return iter((*self._table, *self._table.reserved))

    def __len__(self) -> int:
        return len(self._table) + len(self._table.reserved)


@cache
def installed_points(group: str) -> tuple[EntryPoint, ...]:
    """Return a group's entry points of every installed package, by name; read once in a process."""
    from importlib.metadata import entry_points

    return tuple(sorted(entry_points(group=group), key=lambda point: (point.name, point.value)))


def resolve(target: str) -> Any:
    """Import what ``module:attribute`` names.

    Args:
        target: For example ``posebench.networks.lpn:LPN``.

    Raises:
        ImportError: There is no such module.
        AttributeError: The module does not have it.

    Example:
        >>> resolve("math:gcd")(12, 18)
        6
    """
    module, _, attribute = target.partition(":")
    return reduce(getattr, attribute.split("."), import_module(module))


def first_line(error: BaseException) -> str:
    """Return an error of somebody else's code as one line without a full stop."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0].rstrip('.')}" if text else type(error).__name__


def _origin(point: EntryPoint) -> tuple[str, str]:
    """Return owner and package of an entry point."""
    if point.dist is None:
        package = point.value.partition(":")[0]
        return package, package
    return f"{point.dist.name} {point.dist.version}", point.dist.name

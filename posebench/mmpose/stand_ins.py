"""Stand-ins for what mmpose imports although most of its models never use it.

``import mmpose.models`` needs two modules that a machine may lack:

* ``mmcv._ext``, mmcv's compiled operators. Building them takes half an hour; ``mmcv-lite`` is mmcv
  without them.
* ``mmdet``, OpenMMLab's detector package, of which one head takes two names.

Where one of them cannot be found, a module takes its place whose every name is there and fails when
it is called. With the real package installed nothing is replaced.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any, NoReturn

from posebench.types.errors import UserError

# Module that may be missing -> submodules that are imported from it, and how to get the real one.
STAND_INS = {
    "mmcv._ext": ((), "Install mmcv with its compiled operators instead of mmcv-lite."),
    "mmdet": (("utils",), "pip install mmdet"),
}


class StandIn(ModuleType):
    """A module in which every name is a function that says what is missing."""

    def __init__(self, name: str, hint: str) -> None:
        super().__init__(name, f"Stands in for {name}, which is not installed.")
        self.__path__: list[str] = []
        # without a loader, so that whoever asks whether the real one is there hears no
        self.__spec__ = ModuleSpec(name, None)
        self._hint = hint

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def missing(*_: object, **__: object) -> NoReturn:
            raise UserError(
                f"This model calls {name} of {self.__name__}, which is not installed.", self._hint
            )

        return missing


def stand_in() -> tuple[str, ...]:
    """Put stand-ins where modules are missing, once.

    Returns:
        The modules that are stood in for.
    """
    for name, (children, hint) in STAND_INS.items():
        if name in sys.modules or _is_installed(name):
            continue
        for each in (name, *(f"{name}.{child}" for child in children)):
            sys.modules[each] = StandIn(each, hint)
    return tuple(name for name in STAND_INS if isinstance(sys.modules.get(name), StandIn))


def _is_installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # the package around it
        return False

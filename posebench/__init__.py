"""posebench: does a published 2D human pose model do what its zoo says, and how fast?

The public functions are loaded on first use, so that ``import posebench`` stays light::

    import posebench

    posebench.list_entries(zoo="lpn")
    record = posebench.evaluate("tinypose_256x192", dataset="coco", data_root="data/coco")
    record.to_frame()
"""

from __future__ import annotations

# As typing has it, whose import would take most of the time in which Ctrl-C still is a traceback.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any

    list_entries: Any
    find_entry: Any
    load_model: Any
    evaluate: Any
    demo: Any
    measure_speed: Any

__version__ = "0.1.0"

__all__ = [
    "__version__",
    "demo",
    "evaluate",
    "find_entry",
    "list_entries",
    "load_model",
    "measure_speed",
]

# Named as text: a static import here would tie every lower floor to the rooms above it.
_PUBLIC = {
    "demo": "posebench.api.demo",
    "evaluate": "posebench.evaluation.evaluate",
    "find_entry": "posebench.evaluation.listing",
    "list_entries": "posebench.evaluation.listing",
    "load_model": "posebench.evaluation.evaluate",
    "measure_speed": "posebench.timing.measure",
}


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        from importlib import import_module

        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'posebench' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

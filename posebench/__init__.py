"""posebench: does a published 2D human pose model do what its zoo says, and how fast?

The public functions are loaded on first use, so that ``import posebench`` stays light::

    import posebench

    posebench.list_entries(zoo="lpn")
    record = posebench.evaluate("demo_s", dataset="synthetic", limit=4)
    record.to_frame()
"""

from __future__ import annotations

from posebench.version import __version__

# As typing has it, whose import would take most of the time in which Ctrl-C still is a traceback.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from posebench.api.analysis import compare, diagnose, explain, score
    from posebench.api.demo import demo
    from posebench.api.files import fetch, report
    from posebench.api.model import load_model
    from posebench.evaluation.convert import convert
    from posebench.evaluation.evaluate import evaluate
    from posebench.evaluation.listing import find_entry, list_entries
    from posebench.evaluation.shards import merge
    from posebench.records.store import load_records
    from posebench.timing.measure import measure_speed
    from posebench.types.entry import Entry
    from posebench.types.errors import UserError
    from posebench.types.protocol import Protocol
    from posebench.types.record import Record
    from posebench.verification.verify import verify

__all__ = [
    "Entry",
    "Protocol",
    "Record",
    "UserError",
    "__version__",
    "compare",
    "convert",
    "demo",
    "diagnose",
    "evaluate",
    "explain",
    "fetch",
    "find_entry",
    "list_entries",
    "load_model",
    "load_records",
    "measure_speed",
    "merge",
    "report",
    "score",
    "verify",
]

# Named as text: an import here would tie every lower floor to the rooms above it.
_HOMES = {
    "Entry": "types.entry",
    "Protocol": "types.protocol",
    "Record": "types.record",
    "UserError": "types.errors",
    "compare": "api.analysis",
    "convert": "evaluation.convert",
    "demo": "api.demo",
    "diagnose": "api.analysis",
    "evaluate": "evaluation.evaluate",
    "explain": "api.analysis",
    "fetch": "api.files",
    "find_entry": "evaluation.listing",
    "list_entries": "evaluation.listing",
    "load_model": "api.model",
    "load_records": "records.store",
    "measure_speed": "timing.measure",
    "merge": "evaluation.shards",
    "report": "api.files",
    "score": "api.analysis",
    "verify": "verification.verify",
}

if not TYPE_CHECKING:  # type checkers know the names above, and no others

    def __getattr__(name: str):
        if name in _HOMES:
            from importlib import import_module

            return getattr(import_module(f"posebench.{_HOMES[name]}"), name)
        raise AttributeError(f"module 'posebench' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

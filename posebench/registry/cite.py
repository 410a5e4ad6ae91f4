"""What to cite when a model's numbers are used."""

from __future__ import annotations

from posebench.registry.loader import load_registry
from posebench.registry.lookup import Registry
from posebench.types.entry import Entry

POSEBENCH = """@software{posebench,
  title   = {posebench: do published {2D} human pose models do what their zoos say?},
  author  = {{The posebench authors}},
  year    = {2026},
  license = {Apache-2.0}
}
"""


def cite(entry: Entry, registry: Registry | None = None) -> str:
    """Return BibTeX: the model's paper, its dataset and posebench itself.

    Args:
        entry: The model.
        registry: Where its dataset is defined; posebench's own and all plug-ins if not given.
    """
    known = registry or load_registry()
    dataset = known.datasets.get(entry.dataset)
    texts = (entry.citation, dataset.citation if dataset else "", POSEBENCH)
    return "\n".join(text.strip() + "\n" for text in texts if text.strip())

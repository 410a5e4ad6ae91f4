"""What to cite when a model's numbers are used."""

from __future__ import annotations

import re

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
    works = [work for text in texts for work in re.split(r"^(?=@)", text, flags=re.MULTILINE)]
    # A zoo's paper may be its dataset's paper too: the same key is cited once.
    distinct = {work.partition(",")[0]: work.strip() for work in works if work.strip()}
    return "\n\n".join(distinct.values()) + "\n"

"""Scorers by name: posebench's own and those of other packages.

Importing this module imports no numpy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from posebench.plugins import PluginTable

if TYPE_CHECKING:
    from posebench.scoring.scorers import Measured
    from posebench.types.arrays import Dataset, Floats, Results
    from posebench.types.protocol import Protocol

    Scorer = Callable[[Results, Dataset, Protocol, Floats | None], Measured]

# Protocol.scorer -> (results, dataset, protocol, weights) -> Measured; see
# ``posebench.scoring.scorers.Measured`` for what a scorer gives, and ``measured_ratios`` there for
# metrics that are a count over another.
SCORERS: PluginTable[Scorer] = PluginTable(
    "scorer",
    "posebench.scorers",
    {
        name: f"posebench.scoring.scorers:{name}"
        for name in (
            *("coco_oks", "halpe_oks", "wholebody_oks", "xtcoco_oks"),
            *("mpii_pckh", "crowdpose_oks"),
        )
    },
)

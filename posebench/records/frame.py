"""Many records as one pandas table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from posebench.types.record import FRAME_COLUMNS, Record

if TYPE_CHECKING:
    import pandas as pd


def to_frame(records: Iterable[Record]) -> pd.DataFrame:
    """Return one row for each claim (or score without a claim, or timing) of the records.

    Args:
        records: Evaluations and timings in any order.

    Returns:
        A frame with the columns ``posebench.types.record.FRAME_COLUMNS``; accuracy in percent.
    """
    import pandas as pd

    rows = [row for record in records for row in record.rows()]
    return pd.DataFrame(rows, columns=list(FRAME_COLUMNS))

"""Two scores on the same images: their difference, its interval and its p-value.

Both are scored on the same draws of images (``bootstrap.bootstrap_counts``), so that what makes an
image easy or hard for both cancels out: the interval of a difference is far narrower than the
intervals of the two scores suggest.
"""

from __future__ import annotations

import numpy as np

from posebench.scoring.bootstrap import LEVEL
from posebench.scoring.scorers import Measured
from posebench.types.arrays import Floats
from posebench.types.comparison import Difference


def differences(first: Measured, second: Measured, level: float = LEVEL) -> tuple[Difference, ...]:
    """Compare every metric that both have draws of.

    Args:
        first: Scored with some draws of images.
        second: Scored with the same draws.
        level: Share of the draws inside the interval.
    """
    found = []
    for metric, before in first.draws.items():
        if metric not in second.draws:
            continue
        values = first.values[metric], second.values[metric]
        draws = second.draws[metric] - before
        draws = draws[np.isfinite(draws)]
        if len(draws) and np.isfinite(values).all():
            low, high = np.percentile(draws, [50.0 * (1.0 - level), 50.0 * (1.0 + level)])
            found.append(
                Difference(
                    metric=metric,
                    first=values[0],
                    second=values[1],
                    difference=values[1] - values[0],
                    interval=(float(low), float(high)),
                    p=p_value(draws),
                )
            )
    return tuple(found)


def p_value(draws: Floats) -> float:
    """Return the two-sided p-value of a difference of zero.

    Twice the share of draws on the rarer side of zero, the measurement itself counted as one
    draw, so that B draws never claim less than 2 / (B + 1) (Davison & Hinkley 1997, 4.2; the
    percentile interval turned around).

    Args:
        draws: (B,) finite differences.
    """
    rarer = min(int((draws <= 0).sum()), int((draws >= 0).sum()))
    return min(1.0, 2.0 * (rarer + 1) / (len(draws) + 1))

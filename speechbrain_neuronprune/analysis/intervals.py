"""How sure a difference between two error rates is.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Sequence

import numpy as np
from scipy.stats import bootstrap

RESAMPLES = 2000
AT_A_TIME = 200  # resamples, as each is as large as the split
LEVEL = 0.95


def rate_difference(
    errors: Sequence[int],
    reference: Sequence[int],
    totals: Sequence[int],
    resamples: int = RESAMPLES,
) -> dict[str, float] | None:
    """Compare two error rates on the same utterances.

    The interval is that of a paired bootstrap (percentiles): utterances are
    drawn, and both error rates are taken on the same draw. All draws are from
    one seed, so that the same errors always have the same interval.

    Arguments
    ---------
    errors : sequence of int
        Of every utterance.
    reference : sequence of int
        Of every utterance, what they are compared with.
    totals : sequence of int
        How many there could be: the words of every utterance.
    resamples : int
        How many draws.

    Returns
    -------
    dict of str to float, or None
        ``difference``, and ``low`` and ``high``, the ends of its 95 %
        interval, in per cent of the words; below zero if ``errors`` are
        fewer. None for a single utterance, which nothing can be drawn from.

    Example
    -------
    >>> found = rate_difference([1, 0, 2, 0], [0, 0, 1, 0], [5, 5, 5, 5])
    >>> found["difference"], found["low"], found["high"]
    (10.0, 0.0, 20.0)
    """
    if len(totals) < 2:
        return None
    more = np.subtract(errors, reference)
    interval = bootstrap(
        (more, np.asarray(totals)),
        _rate,
        paired=True,
        vectorized=True,
        confidence_level=LEVEL,
        n_resamples=resamples,
        batch=AT_A_TIME,
        method="percentile",
        # Its name before scipy 1.15, which later ones take as well.
        random_state=np.random.default_rng(0),
    ).confidence_interval
    return {
        "difference": float(_rate(more, np.asarray(totals))),
        "low": float(interval.low),
        "high": float(interval.high),
    }


def _rate(errors: np.ndarray, totals: np.ndarray, axis: int = -1) -> np.ndarray:
    return 100 * errors.sum(axis) / totals.sum(axis)

"""Noise that comes and goes.

Real noise comes in events, and a recording's pauses hold its quiet part: where
it is loud, no frame is among the quietest. So the noise of pauses is raised in
random stretches.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import numpy as np
from scipy.signal import fftconvolve

SHORTEST, LONGEST = 0.05, 0.6  # seconds
SHARE = 0.35  # of the time, overlaps counted twice
HIGHEST = 20.0  # decibels above the pauses
EDGE = 0.02  # seconds in which an event begins or ends


def events(
    length: int, rate: int, rise: float, rng: np.random.RandomState
) -> np.ndarray:
    """What to multiply noise with, so that it comes in events.

    Arguments
    ---------
    length : int
        How many samples.
    rate : int
        The sampling rate in hertz.
    rise : float
        How much louder the events are, in decibels.
    rng : np.random.RandomState
        Where the draws come from.

    Returns
    -------
    np.ndarray
        So many factors, from 1 up.

    Example
    -------
    >>> factors = events(16000, 16000, 20.0, np.random.RandomState(0))
    >>> factors.min().round(2), factors.max().round(2)
    (np.float64(1.0), np.float64(10.0))
    """
    heard = np.zeros(length)
    total = 0
    while total < SHARE * length:
        lasts = round(rng.uniform(SHORTEST, LONGEST) * rate)
        begin = rng.randint(-(lasts // 2), length)
        heard[max(begin, 0) : begin + lasts] = 1.0
        total += lasts
    edge = np.hanning(round(EDGE * rate) + 2)
    soft = fftconvolve(heard, edge / edge.sum(), mode="same")
    return 10 ** (rise * np.clip(soft, 0.0, 1.0) / 20)

"""The noise of a recording, taken from its pauses.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from dataclasses import dataclass

import numpy as np

from speechbrain_neuronprune.corpus.audio import level

FRAME, HOP = 0.025, 0.01  # seconds
SMOOTHED = 5  # frames: a stop in the middle of a word is no pause
QUIETEST = 0.15  # of a recording's frames
SHORTEST = 0.05  # seconds; what is shorter loops audibly
FADE = 0.01  # seconds


@dataclass(frozen=True)
class Noise:
    """What is heard in the pauses of one recording.

    Arguments
    ---------
    stretches : tuple of np.ndarray
        The pauses' samples.
    snr : float
        The speech over the noise, in decibels.
    """

    stretches: tuple[np.ndarray, ...]
    snr: float

    @classmethod
    def of(cls, speech: np.ndarray, rate: int) -> "Noise | None":
        """Find the noise of a recording.

        Arguments
        ---------
        speech : np.ndarray
            Samples.
        rate : int
            Their sampling rate in hertz.

        Returns
        -------
        Noise or None
            None if no quiet stretch is long enough.
        """
        stretches = pauses(speech, rate)
        if not stretches:
            return None
        return cls(tuple(stretches), signal_to_noise(speech, stretches))


def pauses(speech: np.ndarray, rate: int) -> list[np.ndarray]:
    """The quietest stretches of a recording.

    Arguments
    ---------
    speech : np.ndarray
        Samples.
    rate : int
        Their sampling rate in hertz.

    Returns
    -------
    list of np.ndarray
        Copies of stretches of at least 50 ms, 15 % of the recording in all or
        less.

    Example
    -------
    >>> speech = np.random.RandomState(0).standard_normal(16000)
    >>> speech[4000:6000] *= 0.01
    >>> [stretch] = pauses(speech, 16000)
    >>> len(stretch)
    2480
    """
    frame, hop = round(FRAME * rate), round(HOP * rate)
    if len(speech) < frame + (SMOOTHED - 1) * hop:
        return []
    frames = np.lib.stride_tricks.sliding_window_view(speech, frame)[::hop]
    power = np.convolve(
        np.square(frames).mean(1), np.ones(SMOOTHED) / SMOOTHED, "valid"
    )
    middle = SMOOTHED // 2 * hop  # of the frames that are summed up
    stretches = [
        speech[middle + first * hop : middle + last * hop + frame].copy()
        for first, last in _runs(power <= np.quantile(power, QUIETEST))
    ]
    return [one for one in stretches if len(one) >= SHORTEST * rate]


def signal_to_noise(speech: np.ndarray, stretches: list[np.ndarray]) -> float:
    """How far the speech is above what is heard in its pauses.

    Arguments
    ---------
    speech : np.ndarray
        Samples of speech and noise.
    stretches : list of np.ndarray
        Its pauses.

    Returns
    -------
    float
        Decibels, at least -20.

    Example
    -------
    >>> speech, noise = np.full(8, 10.0), np.ones(8)
    >>> round(signal_to_noise(np.concatenate([speech, noise]), [noise]), 1)
    16.9
    """
    noise = level(np.concatenate(stretches)) ** 2
    clean = max(level(speech) ** 2 - noise, 0.01 * noise)
    return float(10 * np.log10(clean / noise))


def loop(
    stretches: tuple[np.ndarray, ...],
    length: int,
    rate: int,
    rng: np.random.RandomState,
) -> np.ndarray:
    """Join stretches of noise, in any order, as often as needed.

    They fade into each other, by powers.

    Arguments
    ---------
    stretches : tuple of np.ndarray
        The noise, each at least 50 ms.
    length : int
        How many samples are wanted.
    rate : int
        The sampling rate in hertz.
    rng : np.random.RandomState
        Where the order comes from.

    Returns
    -------
    np.ndarray
        So many samples.

    Example
    -------
    >>> loop((np.ones(800),), 3, 16000, np.random.RandomState(0))
    array([1., 1., 1.])
    """
    fade = round(FADE * rate)
    rise = np.sqrt((np.arange(fade) + 0.5) / fade)
    joined = np.zeros(length + fade + max(map(len, stretches)))
    order = rng.permutation(len(stretches))
    place = turn = 0
    while place < length + fade:
        piece = np.array(stretches[order[turn % len(order)]], float)
        piece[:fade] *= rise
        piece[-fade:] *= rise[::-1]
        joined[place : place + len(piece)] += piece
        place += len(piece) - fade
        turn += 1
    return joined[fade : fade + length]


def _runs(on: np.ndarray) -> list[tuple[int, int]]:
    """The first and the last place of every run of True."""
    steps = np.flatnonzero(np.diff(np.r_[False, on, False].astype(np.int8)))
    return [(int(a), int(b) - 1) for a, b in steps.reshape(-1, 2)]

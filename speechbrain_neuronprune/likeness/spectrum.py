"""Long-term spectra, and the filter from one to another.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Iterable

import numpy as np
from scipy.signal import firwin2

FRAME = 0.032  # seconds
LOUDER = 0.4  # of the frames: the speech rather than its pauses
TAPS = 257  # of the filter
SMOOTHED = 5  # frequencies
NOTHING = 1e-12  # of the mean power
LOWEST, HIGHEST = 10 ** (-50 / 20), 10 ** (20 / 20)  # the filter's gain


def long_term_spectrum(speech: np.ndarray, rate: int) -> np.ndarray:
    """The mean power spectrum of the louder frames.

    Arguments
    ---------
    speech : np.ndarray
        Samples, at least 32 ms.
    rate : int
        Their sampling rate in hertz.

    Returns
    -------
    np.ndarray
        From 0 Hz to half the rate; its mean is 1 unless all is silent.

    Example
    -------
    >>> tone = np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000)
    >>> int(long_term_spectrum(tone, 16000).argmax() / 0.032)
    1000
    """
    frame = round(FRAME * rate)
    views = np.lib.stride_tricks.sliding_window_view(speech, frame)
    frames = views[:: frame // 2] * np.hanning(frame)
    powers = np.square(np.abs(np.fft.rfft(frames)))
    energy = powers.sum(1)
    loud = powers[energy >= np.quantile(energy, 1 - LOUDER)].mean(0)
    return loud / max(loud.mean(), np.finfo(float).tiny)


def mean_spectrum(recordings: Iterable[np.ndarray], rate: int) -> np.ndarray:
    """The mean of the long-term spectra of several recordings.

    Arguments
    ---------
    recordings : iterable of np.ndarray
        The samples of each.
    rate : int
        Their sampling rate in hertz.

    Returns
    -------
    np.ndarray
        See ``long_term_spectrum``.
    """
    return np.mean([long_term_spectrum(r, rate) for r in recordings], 0)


def matching_filter(spectrum: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The filter that gives speech of one spectrum another.

    Arguments
    ---------
    spectrum : np.ndarray
        What the speech has, see ``long_term_spectrum``.
    wanted : np.ndarray
        What it shall have.

    Returns
    -------
    np.ndarray
        257 coefficients, symmetric: the filter delays all by 128 samples. Its
        gain is between -50 and 20 dB.

    Example
    -------
    >>> flat = np.ones(257)
    >>> matching_filter(flat, 4 * flat)[126:131].round(3) + 0.0
    array([0., 0., 2., 0., 0.])
    """
    had = np.maximum(spectrum, NOTHING)
    gain = np.clip(np.sqrt(wanted / had), LOWEST, HIGHEST)
    padded = np.pad(gain, SMOOTHED // 2, mode="edge")
    smooth = np.convolve(padded, np.ones(SMOOTHED) / SMOOTHED, "valid")
    return firwin2(TAPS, np.linspace(0, 1, len(smooth)), smooth)

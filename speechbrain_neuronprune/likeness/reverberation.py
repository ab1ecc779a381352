"""Reverberation as noise that decays (J.-D. Polack, 1988).

Behind the direct sound, so many echoes arrive that their sum is a Gaussian
noise; its power falls exponentially. Two figures say all: how fast it falls,
and how loud it is.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import itertools
from typing import NamedTuple

import numpy as np
from scipy.signal import fftconvolve

FIRST_ECHO = 0.0025  # seconds behind the direct sound


class Reverberation(NamedTuple):
    """How a place reverberates.

    Arguments
    ---------
    rt60 : float
        The time in seconds in which its sound decays by 60 dB.
    drr : float
        The direct sound over all that follows, in decibels.
    """

    rt60: float
    drr: float

    def response(self, rate: int, rng: np.random.RandomState) -> np.ndarray:
        """Draw an impulse response.

        Arguments
        ---------
        rate : int
            The sampling rate in hertz.
        rng : np.random.RandomState
            Where the echoes come from.

        Returns
        -------
        np.ndarray
            The direct sound, which is 1, and the tail.

        Example
        -------
        >>> place = Reverberation(rt60=0.5, drr=6.0)
        >>> response = place.response(16000, np.random.RandomState(0))
        >>> tail = np.square(response[1:]).sum()
        >>> len(response), response[0], round(-10 * np.log10(tail), 3)
        (8000, np.float64(1.0), np.float64(6.0))
        """
        length = round(self.rt60 * rate)
        decay = 10 ** (-3 * np.arange(length) / length)
        tail = rng.standard_normal(length) * decay
        tail[: round(FIRST_ECHO * rate)] = 0.0
        tail *= 10 ** (-self.drr / 20) / np.linalg.norm(tail)
        tail[0] = 1.0
        return tail

    def heard(
        self, speech: np.ndarray, rate: int, rng: np.random.RandomState
    ) -> np.ndarray:
        """Let speech reverberate.

        Arguments
        ---------
        speech : np.ndarray
            Samples.
        rate : int
            Their sampling rate in hertz.
        rng : np.random.RandomState
            Where the echoes come from.

        Returns
        -------
        np.ndarray
            As many samples, not delayed.
        """
        return fftconvolve(speech, self.response(rate, rng))[: len(speech)]


# What is tried; None is none at all.
TRIED: tuple[Reverberation | None, ...] = (
    None,
    *itertools.starmap(
        Reverberation,
        itertools.product((0.15, 0.3, 0.5, 0.8, 1.2), (6.0, 0.0, -6.0)),
    ),
)

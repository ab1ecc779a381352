"""Noise: recorded, or made on the spot.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from bisect import bisect
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np

from speechbrain_neuronprune.corpus.audio import (
    find_audio,
    level,
    read_audio,
)
from speechbrain_neuronprune.errors import DataError
from speechbrain_neuronprune.randomness import random_for

TALKERS = 6
MAINS = (50.0, 60.0)  # hertz
HARMONICS = 40
FLATTEST, STEEPEST = 0.0, 2.0  # power over frequency: white to brown
CORNER = 50.0  # hertz; below, power would go where no speech is
SILENT = 1e-4  # a level of -80 dB: what is amplified there is rounding
ATTEMPTS = 100

Maker = Callable[[int, int, np.random.RandomState], np.ndarray]


class NoiseSource(Protocol):
    """Gives noise for one utterance after the other."""

    def draw(
        self,
        utterance: Path,
        length: int,
        rate: int,
        rng: np.random.RandomState,
    ) -> np.ndarray:
        """Draw noise for an utterance, at any level.

        Arguments
        ---------
        utterance : Path
            Its audio file.
        length : int
            Number of samples.
        rate : int
            Sampling rate, in Hz.
        rng : np.random.RandomState
            What to draw with.

        Returns
        -------
        np.ndarray
            (length,).
        """


def add_noise(speech: np.ndarray, noise: np.ndarray, snr: float) -> np.ndarray:
    """Add noise at a signal-to-noise ratio.

    Arguments
    ---------
    speech : np.ndarray
        Samples; they keep their level.
    noise : np.ndarray
        As many samples.
    snr : float
        The ratio of the power of all speech, pauses included, to that of
        the noise, in decibels.

    Returns
    -------
    np.ndarray
        The sum.

    Example
    -------
    >>> add_noise(np.array([1.0, -1.0]), np.array([5.0, 5.0]), snr=20.0)
    array([ 1.1, -0.9])
    """
    gain = level(speech) / level(noise) * 10 ** (-snr / 20)
    return speech + gain * noise


def coloured_noise(
    length: int, rate: int, rng: np.random.RandomState
) -> np.ndarray:
    """Noise whose power falls with frequency, as steeply as is drawn: white,
    pink, brown or in between.

    Arguments
    ---------
    length : int
        How many samples.
    rate : int
        The sampling rate in hertz.
    rng : np.random.RandomState
        Where the draws come from.

    Returns
    -------
    np.ndarray
        The samples.

    Example
    -------
    >>> coloured_noise(16000, 16000, np.random.RandomState(0)).shape
    (16000,)
    """
    slope = rng.uniform(FLATTEST, STEEPEST)
    spectrum = np.fft.rfft(rng.standard_normal(length))
    frequencies = np.maximum(np.fft.rfftfreq(length, 1 / rate), CORNER)
    return np.fft.irfft(spectrum * frequencies ** (-slope / 2), length)


def hum(length: int, rate: int, rng: np.random.RandomState) -> np.ndarray:
    """The hum of a machine: the mains' frequency and harmonics of it.

    Arguments
    ---------
    length : int
        How many samples.
    rate : int
        The sampling rate in hertz.
    rng : np.random.RandomState
        Where the draws come from.

    Returns
    -------
    np.ndarray
        The samples.

    Example
    -------
    >>> hum(16000, 16000, np.random.RandomState(0)).shape
    (16000,)
    """
    mains = MAINS[rng.randint(len(MAINS))]
    phases = rng.uniform(0, 2 * np.pi, HARMONICS)
    amplitudes = rng.uniform(0.1, 1.0, HARMONICS)
    time = np.arange(length) / rate
    samples = np.zeros(length)
    for harmonic in range(1, HARMONICS + 1):
        frequency = harmonic * mains
        if frequency < rate / 2:
            wave = np.sin(2 * np.pi * frequency * time + phases[harmonic - 1])
            samples += amplitudes[harmonic - 1] / np.sqrt(harmonic) * wave
    return samples


def excerpt(
    noise: np.ndarray, length: int, rng: np.random.RandomState
) -> np.ndarray:
    """Cut a piece from noise, anywhere; too short noise is repeated.

    Arguments
    ---------
    noise : np.ndarray
        Samples.
    length : int
        How many are wanted.
    rng : np.random.RandomState
        Where the draws come from.

    Returns
    -------
    np.ndarray
        So many samples.

    Example
    -------
    >>> excerpt(np.array([1, 2]), 5, np.random.RandomState(0))
    array([1, 2, 1, 2, 1])
    """
    starts = len(noise) - length + 1
    start = rng.randint(starts if starts > 0 else len(noise))
    return np.take(noise, np.arange(start, start + length), mode="wrap")


class RecordedNoise:
    """Pieces of the audio files in a folder.

    Arguments
    ---------
    folder : Path
        Where they are, at any depth, in any sampling rate.

    Raises
    ------
    DataError
        If there are none.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.paths = find_audio(folder)
        if not self.paths:
            raise DataError(
                f"The noise folder {folder} holds no audio files; name a "
                "folder of .flac, .mp3, .ogg or .wav files, or none at all to "
                "have noise made."
            )

    def draw(
        self,
        utterance: Path,
        length: int,
        rate: int,
        rng: np.random.RandomState,
    ) -> np.ndarray:
        """A piece of one of the files; what is silent is passed over.

        Arguments
        ---------
        utterance : Path
            Its audio file; not used.
        length : int
            Number of samples.
        rate : int
            Sampling rate, in Hz.
        rng : np.random.RandomState
            What to draw with.

        Returns
        -------
        np.ndarray
            (length,).

        Raises
        ------
        DataError
            If next to nothing but silence was found.
        """
        for _ in range(ATTEMPTS):
            path = self.paths[rng.randint(len(self.paths))]
            noise = excerpt(read_audio(path, rate)[0], length, rng)
            if level(noise) > SILENT:
                return noise
        raise DataError(
            f"The noise folder {self.folder} holds next to nothing but "
            f"silence ({ATTEMPTS} pieces of {length / rate:.1f} s were tried); "
            "remove the silent files."
        )


class MadeNoise:
    """Coloured noise, hum, or babble of other utterances of the split.

    Who babbles is found by consistent hashing: all utterances have a place
    on a ring, and those next to the place that is drawn babble. So leaving
    others out of the split does not change it.

    Arguments
    ---------
    split : sequence of Path
        The audio files of the split.
    """

    def __init__(self, split: Sequence[Path]) -> None:
        self.ring = sorted(
            (random_for("talker", path.stem).random_sample(), path)
            for path in split
        )

    def draw(
        self,
        utterance: Path,
        length: int,
        rate: int,
        rng: np.random.RandomState,
    ) -> np.ndarray:
        """Noise of one of the kinds; there is no babble of one utterance.

        Arguments
        ---------
        utterance : Path
            Its audio file, which does not babble.
        length : int
            Number of samples.
        rate : int
            Sampling rate, in Hz.
        rng : np.random.RandomState
            What to draw with.

        Returns
        -------
        np.ndarray
            (length,).
        """
        makers: list[Maker] = [coloured_noise, hum]
        if len(self.ring) > 1:
            makers.append(partial(self.babble, utterance))
        return makers[rng.randint(len(makers))](length, rate, rng)

    def babble(
        self,
        utterance: Path,
        length: int,
        rate: int,
        rng: np.random.RandomState,
    ) -> np.ndarray:
        """Six other utterances at once, or as many as there are.

        Arguments
        ---------
        utterance : Path
            The audio file that does not babble.
        length : int
            Number of samples.
        rate : int
            Sampling rate, in Hz.
        rng : np.random.RandomState
            What to draw with.

        Returns
        -------
        np.ndarray
            (length,).
        """
        samples = np.zeros(length)
        for path in self._talkers(utterance, rng.random_sample()):
            speech = excerpt(read_audio(path, rate)[0], length, rng)
            samples += speech / level(speech)
        return samples

    def _talkers(self, utterance: Path, place: float) -> list[Path]:
        start = bisect(self.ring, (place,))
        around = self.ring[start:] + self.ring[:start]
        others = (path for _, path in around if path != utterance)
        return list(islice(others, TALKERS))

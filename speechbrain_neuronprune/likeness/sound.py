"""How a domain sounds, estimated from its unlabelled speech.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.signal import fftconvolve
from tqdm import tqdm

from speechbrain_neuronprune.corpus.audio import level, read_audio
from speechbrain_neuronprune.errors import DataError
from speechbrain_neuronprune.likeness.description import distance, statistics
from speechbrain_neuronprune.likeness.events import HIGHEST, events
from speechbrain_neuronprune.likeness.listening import listen, some
from speechbrain_neuronprune.likeness.pauses import Noise, loop
from speechbrain_neuronprune.likeness.reverberation import (
    TRIED,
    Reverberation,
)
from speechbrain_neuronprune.likeness.spectrum import (
    matching_filter,
    mean_spectrum,
)
from speechbrain_neuronprune.randomness import random_for

COMPARED = 200  # recordings of each; of 80, the words still mattered
HEARD = 500  # recordings of the domain that noise is taken from
# The noise of the quietest frames is softer than all of it; in decibels.
SNR_CHANGE = (-3.0, 1.0)


class Recording(NamedTuple):
    """What is known of one recording of the domain: its level, its noise."""

    level: float
    noise: Noise


@dataclass(frozen=True)
class Sound:
    """How a domain sounds.

    Arguments
    ---------
    rate : int
        The sampling rate of its speech in hertz.
    recordings : tuple of Recording
        Levels and noises, of which every utterance gets one.
    reverberation : Reverberation or None
        Of the place.
    equaliser : np.ndarray
        A symmetric filter from home's spectrum, reverberated, to the domain's.
    noisy : bool
        Whether noise is added at all.
    before : float
        How far home speech is from the domain, see ``distance``.
    after : float
        The same of home speech that was altered.
    """

    rate: int
    recordings: tuple[Recording, ...]
    reverberation: Reverberation | None
    equaliser: np.ndarray
    noisy: bool
    before: float = float("nan")
    after: float = float("nan")

    def alter(
        self, speech: np.ndarray, rng: np.random.RandomState
    ) -> np.ndarray:
        """Let speech sound like the domain.

        Arguments
        ---------
        speech : np.ndarray
            Samples at the domain's sampling rate.
        rng : np.random.RandomState
            Where the draws come from.

        Returns
        -------
        np.ndarray
            As many samples, not delayed, at the level of one of the domain's
            recordings.
        """
        recording = self.recordings[rng.randint(len(self.recordings))]
        if self.reverberation is not None:
            speech = self.reverberation.heard(speech, self.rate, rng)
        speech = fftconvolve(speech, self.equaliser, mode="same")
        speech = speech / level(speech)
        if self.noisy:
            speech = speech + self._noise(recording.noise, len(speech), rng)
        return speech * (recording.level / level(speech))

    def _noise(
        self, noise: Noise, length: int, rng: np.random.RandomState
    ) -> np.ndarray:
        """Noise for speech of level 1."""
        steady = loop(noise.stretches, length, self.rate, rng)
        rise = rng.uniform(0.0, HIGHEST)
        snr = noise.snr + rng.uniform(*SNR_CHANGE)
        gain = 10 ** (-snr / 20) / level(steady)
        return gain * steady * events(length, self.rate, rise, rng)

    def figures(self) -> dict[str, Any]:
        """The estimate in figures, as they stand in a manifest.

        Returns
        -------
        dict
            Name to figure; times in seconds, ratios in decibels.
        """
        place = self.reverberation
        snrs = [recording.noise.snr for recording in self.recordings]
        quartiles = np.percentile(snrs, (25, 50, 75))
        return {
            "rt60": place and place.rt60,
            "drr": place and place.drr,
            "noisy": self.noisy,
            "snr_quartiles": [round(float(snr), 1) for snr in quartiles],
            "distance_before": round(self.before, 4),
            "distance_after": round(self.after, 4),
        }

    def describe(self) -> str:
        """The estimate in words.

        Returns
        -------
        str
            Three lines.
        """
        place = self.reverberation
        found = "no reverberation"
        if place is not None:
            found = (
                f"reverberation for {place.rt60} s, the direct sound at "
                f"{place.drr:+.0f} dB"
            )
        low, middle, high = self.figures()["snr_quartiles"]
        return (
            f"{found}\n"
            f"noise {'added' if self.noisy else 'not added'}; speech over "
            f"pauses {middle} dB (quartiles {low} and {high})\n"
            f"distance of home {self.before:.3f}, altered {self.after:.3f}"
        )


def estimate_sound(
    home: Sequence[Path], target: Sequence[Path], seed: int = 0
) -> Sound:
    """Find out how a domain sounds.

    A range of reverberations is tried on some of the home speech, each with
    and without noise; the one that comes nearest to the domain is kept. No
    words are read, and nothing needs to be known of the domain.

    Arguments
    ---------
    home : sequence of Path
        Recordings of home.
    target : sequence of Path
        Recordings of the domain.
    seed : int
        Of the choice of recordings, and of what is drawn in trials.

    Returns
    -------
    Sound
        What alters home speech.

    Raises
    ------
    DataError
        If there is no speech, sampling rates differ, a file cannot be read,
        or no recording of the domain has pauses.
    """
    for name, paths in (("home", home), ("the new domain", target)):
        if not paths:
            raise DataError(
                f"There is no speech of {name} to listen to; name a split "
                "that has some."
            )
    rate = read_audio(home[0])[1]
    recordings = _recordings(some(target, HEARD, seed, "heard"), rate)
    theirs = _compared(target, rate, seed)
    ours = _compared(home, rate, seed)
    goal = np.array([statistics(speech, rate) for speech in theirs])
    before = distance(np.array([statistics(s, rate) for s in ours]), goal)
    tried = [
        replace(sound, before=before, after=_miss(sound, ours, goal, seed))
        for sound in _candidates(rate, recordings, ours, theirs, seed)
    ]
    return min(tried, key=lambda sound: sound.after)


def _recordings(paths: Sequence[Path], rate: int) -> tuple[Recording, ...]:
    """Levels and noises of recordings that have pauses."""
    heard = [
        Recording(level(speech), noise)
        for speech in listen(paths, rate)
        if (noise := Noise.of(speech, rate)) is not None
    ]
    if not heard:
        raise DataError(
            f"None of {len(paths)} recordings of the new domain, for instance "
            f"{paths[0]}, has a pause of 50 ms to take noise from; give "
            "longer recordings, with some silence around the words."
        )
    return tuple(heard)


def _compared(paths: Sequence[Path], rate: int, seed: int) -> list[np.ndarray]:
    """Some of the speech, to be compared."""
    speech = list(listen(some(paths, COMPARED, seed, "compared"), rate))
    if not speech:
        raise DataError(
            f"The recordings around {paths[0]} are all silent or shorter than "
            "0.1 s; give others."
        )
    return speech


def _candidates(
    rate: int,
    recordings: tuple[Recording, ...],
    ours: Sequence[np.ndarray],
    theirs: Sequence[np.ndarray],
    seed: int,
) -> Iterator[Sound]:
    """All sounds that are tried."""
    wanted = mean_spectrum(theirs, rate)
    for place in tqdm(TRIED, "Trying reverberations", disable=None):
        heard = ours
        if place is not None:
            heard = [
                place.heard(speech, rate, random_for(seed, "spectrum", number))
                for number, speech in enumerate(ours)
            ]
        equaliser = matching_filter(mean_spectrum(heard, rate), wanted)
        for noisy in (False, True):
            yield Sound(rate, recordings, place, equaliser, noisy)


def _miss(
    sound: Sound, ours: Sequence[np.ndarray], goal: np.ndarray, seed: int
) -> float:
    """How far altered home speech is from the domain; the draws are the same
    for all sounds."""
    altered = (
        sound.alter(speech, random_for(seed, "tried", number))
        for number, speech in enumerate(ours)
    )
    figures = [statistics(speech, sound.rate) for speech in altered]
    return distance(np.array(figures), goal)

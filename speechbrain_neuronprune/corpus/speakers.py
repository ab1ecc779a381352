"""The speakers of the embedded corpus.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import itertools
from typing import NamedTuple

import numpy as np

from speechbrain_neuronprune.corpus.espeak import Voice

ACCENTS = (
    "en",
    "en-029",
    "en-gb-scotland",
    "en-gb-x-gbclan",
    "en-gb-x-gbcwmd",
    "en-gb-x-rp",
    "en-us",
    "en-us-nyc",
)
# Variants that sound like people (no robots, no whisper), whose long-term
# spectra differ, and that do not clip.
VARIANTS = (
    *("m1", "m2", "m3", "m4", "m5", "m6", "m7"),
    *("f1", "f2", "f3", "f4", "f5"),
    *("Alex", "Annie", "Denis", "Hugo", "Mario", "adam", "belinda", "linda"),
    *("marcelo", "max", "michel", "robert", "steph", "victor"),
)
FIRST_NUMBER = 1001


class Speaker(NamedTuple):
    """A number, as in LibriSpeech, and a voice."""

    number: int
    voice: Voice


def draw_speakers(count: int, rng: np.random.RandomState) -> list[Speaker]:
    """Draw speakers, each with an accent and variant no other has.

    Arguments
    ---------
    count : int
        How many, at most 208 (8 accents of 26 variants).
    rng : np.random.RandomState
        Where the draws come from.

    Returns
    -------
    list
        The speakers, numbered upwards from 1001.

    Example
    -------
    >>> speakers = draw_speakers(2, np.random.RandomState(0))
    >>> [speaker.number for speaker in speakers]
    [1001, 1002]
    """
    pairs = list(itertools.product(ACCENTS, VARIANTS))
    chosen = rng.permutation(len(pairs))[:count]
    return [
        Speaker(
            FIRST_NUMBER + position,
            Voice(
                *pairs[index],
                pitch=int(rng.randint(30, 71)),
                rate=int(rng.randint(150, 211)),
            ),
        )
        for position, index in enumerate(chosen)
    ]

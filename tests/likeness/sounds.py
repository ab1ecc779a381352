"""Made-up speech in made-up places.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import numpy as np

from speechbrain_neuronprune.corpus.layout import write_chapter
from speechbrain_neuronprune.likeness.reverberation import Reverberation

RATE = 16_000


def speech_like(number, rate=RATE, seconds=1.5):
    """Bursts of noise with pauses; every number gives other ones."""
    rng = np.random.RandomState(number)
    samples = np.zeros(round(seconds * rate))
    place = 0.2
    while place < seconds - 0.3:
        lasts = rng.uniform(0.08, 0.2)
        begin, end = round(place * rate), round((place + lasts) * rate)
        burst = rng.standard_normal(end - begin) * np.hanning(end - begin)
        samples[begin:end] = burst * rng.uniform(0.05, 0.2)
        place += lasts + rng.uniform(0.08, 0.25)
    return samples


def noisy(speech, snr, number=0):
    """Steady white noise, so many decibels below the speech."""
    noise = np.random.RandomState(100 + number).standard_normal(len(speech))
    return speech + noise * speech.std() * 10 ** (-snr / 20)


def reverberant(speech, number=0, rate=RATE):
    """Heard at a distance, in a large room."""
    rng = np.random.RandomState(200 + number)
    return Reverberation(rt60=0.8, drr=-6.0).heard(speech, rate, rng)


def write_split(folder, change=noisy, count=6, rate=RATE, **options):
    """A split of one speaker in two chapters, 1 and 12."""
    for chapter, first in ((1, 0), (12, count // 2)):
        utterances = []
        for number in range(first, first + count // 2):
            heard = change(speech_like(number, rate), number=number, **options)
            quantised = np.rint(3000 * heard / heard.std()).clip(-32768, 32767)
            utterances.append((quantised.astype(np.int16), f"word {number}"))
        write_chapter(folder, 7, chapter, utterances, rate)
    return folder

"""Long-term spectra and filters between them.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import numpy as np
import pytest
from scipy.signal import fftconvolve, firwin2, freqz

from speechbrain_neuronprune.likeness.spectrum import (
    long_term_spectrum,
    matching_filter,
    mean_spectrum,
)
from tests.likeness.sounds import RATE, speech_like


@pytest.mark.parametrize("rate", [8_000, RATE])
def test_the_filter_gives_the_wanted_spectrum(rate):
    gain = [1.0, 1.0, 0.1, 0.1]
    line = firwin2(257, [0, 0.3, 0.5, 1], gain)
    dull = [speech_like(n, rate, 3.0) for n in range(4)]
    heard = [fftconvolve(speech, line, mode="same") for speech in dull]
    wanted = mean_spectrum(heard, rate)
    found = matching_filter(mean_spectrum(dull, rate), wanted)
    again = [fftconvolve(speech, found, mode="same") for speech in dull]
    ratio = mean_spectrum(again, rate) / wanted
    assert np.abs(10 * np.log10(ratio[5:-5])).max() < 3.0
    assert np.abs(10 * np.log10(mean_spectrum(dull, rate) / wanted)).max() > 15


def test_the_pauses_do_not_count():
    speech = speech_like(0)
    tone = 0.01 * np.sin(2 * np.pi * 5000 * np.arange(len(speech)) / RATE)
    hum = np.where(np.abs(speech) > 0, 0.0, tone)
    louder = slice(155, 166)  # around 5 kHz
    before = long_term_spectrum(speech, RATE)[louder].max()
    assert long_term_spectrum(speech + hum, RATE)[louder].max() < 3 * before


def test_the_gain_is_limited():
    had = np.ones(257)
    wanted = np.where(np.arange(257) < 128, 1e9, 0.0)
    _, response = freqz(matching_filter(had, wanted), worN=257)
    decibels = 20 * np.log10(np.abs(response) + 1e-12)
    assert decibels.max() == pytest.approx(20, abs=0.5)
    assert np.isfinite(matching_filter(np.zeros(257), wanted)).all()


def test_the_level_does_not_matter():
    speech = speech_like(0)
    loud, soft = (long_term_spectrum(g * speech, RATE) for g in (1.0, 0.01))
    assert np.allclose(loud, soft)
    assert (long_term_spectrum(0 * speech, RATE) == 0).all()

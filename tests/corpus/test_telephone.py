"""The telephone.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import resample_poly

from speechbrain_neuronprune.corpus.audio import level
from speechbrain_neuronprune.corpus.telephone import telephone


def noise(length, rms=0.1):
    return rms * np.random.RandomState(0).standard_normal(length)


def band_power(samples, rate, low, high):
    spectrum = np.abs(np.fft.rfft(samples)) ** 2
    frequencies = np.fft.rfftfreq(len(samples), 1 / rate)
    return spectrum[(frequencies >= low) & (frequencies < high)].sum()


@given(
    length=st.integers(1, 3000),
    rate=st.sampled_from([4000, 8000, 11025, 16000, 44100, 48000]),
)
def test_the_duration_is_kept(length, rate):
    assert telephone(noise(length), rate).shape == (length,)


@pytest.mark.parametrize("rate", [16000, 22050, 44100])
def test_above_four_kilohertz_there_is_next_to_nothing(rate):
    speech = noise(2 * rate)
    heard = telephone(speech, rate)
    above = band_power(heard, rate, 4400, rate)
    assert above < 1e-3 * band_power(speech, rate, 4400, rate)
    below = band_power(heard, rate, 100, 3400)
    assert below == pytest.approx(band_power(speech, rate, 100, 3400), rel=0.05)


def test_the_code_has_256_values():
    narrow = telephone(noise(20_000), 8000)
    assert 100 < len(np.unique(narrow)) <= 256


@pytest.mark.parametrize("rms", [0.01, 0.05, 0.3])
def test_the_error_follows_the_level(rms):
    """Mu-law keeps about 37 dB over a wide range of levels."""
    speech = noise(20_000, rms)
    error = telephone(speech, 8000) - speech
    assert 30 < 20 * np.log10(rms / level(error)) < 45


def test_loud_speech_is_not_clipped():
    """The reference is the line of quiet speech, made loud afterwards."""
    speech = noise(16_000, 0.05)
    loud = telephone(40 * speech, 16_000)
    quiet = resample_poly(resample_poly(40 * speech, 1, 2), 2, 1)
    assert level(loud - quiet) < 0.03 * level(quiet)
    assert np.abs(loud).max() > 1


def test_silence_stays_silent():
    assert np.abs(telephone(np.zeros(999), 16_000)).max() < 1e-3

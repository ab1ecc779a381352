"""Noise from pauses.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speechbrain_neuronprune.likeness.pauses import (
    Noise,
    loop,
    pauses,
    signal_to_noise,
)
from tests.likeness.sounds import RATE, noisy, speech_like


@pytest.mark.parametrize("snr", [0, 10, 20])
@pytest.mark.parametrize("rate", [8_000, RATE])
def test_the_snr_of_steady_noise(snr, rate):
    """Within a few decibels; the quietest frames are softer than all."""
    found = [
        Noise.of(noisy(speech_like(n, rate), snr, n), rate).snr
        for n in range(5)
    ]
    assert snr - 1 < np.mean(found) < snr + 3


def test_pauses_are_noise_without_speech():
    speech = speech_like(1)
    heard = noisy(speech, 10)
    stretches = pauses(heard, RATE)
    noise = (heard - speech).std()
    assert np.concatenate(stretches).std() == pytest.approx(noise, rel=0.1)
    assert all(len(one) >= 0.05 * RATE for one in stretches)
    assert sum(map(len, stretches)) < 0.3 * len(heard)


@pytest.mark.parametrize("length", [0, 1, 400, 1000])
def test_short_recordings_have_no_pauses(length):
    assert Noise.of(np.ones(length), RATE) is None


def test_silence_is_a_pause():
    noise = Noise.of(np.zeros(RATE), RATE)
    assert np.isfinite(noise.snr)


def test_the_ratio_has_a_floor():
    """Pauses as loud as the rest leave nothing for the speech."""
    assert signal_to_noise(np.ones(8), [np.ones(8)]) == pytest.approx(-20)


@settings(max_examples=10)
@given(
    lengths=st.lists(st.integers(800, 3000), min_size=1, max_size=4),
    length=st.integers(1, 20_000),
)
def test_a_loop_has_the_power_of_its_stretches(lengths, length):
    rng = np.random.RandomState(0)
    stretches = tuple(rng.standard_normal(one) for one in lengths)
    joined = loop(stretches, length, RATE, rng)
    assert joined.shape == (length,)
    assert np.isfinite(joined).all()
    if length > 5000:
        assert joined.std() == pytest.approx(1.0, rel=0.15)


def test_a_loop_does_not_change_what_it_joins():
    stretch = np.ones(900)
    loop((stretch,), 5000, RATE, np.random.RandomState(0))
    assert (stretch == 1.0).all()


def test_pauses_do_not_keep_the_recording_in_memory():
    speech = np.random.RandomState(0).standard_normal(16000)
    speech[4000:6000] *= 0.01
    assert all(one.base is None for one in pauses(speech, 16000))

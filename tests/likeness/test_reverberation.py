"""Reverberation as decaying noise.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import numpy as np
import pytest

from speechbrain_neuronprune.likeness.reverberation import (
    TRIED,
    Reverberation,
)
from tests.likeness.sounds import RATE, speech_like


@pytest.mark.parametrize("rt60", [0.3, 0.8])
@pytest.mark.parametrize("rate", [8_000, RATE])
def test_the_tail_decays_by_60_db_in_its_time(rt60, rate):
    place = Reverberation(rt60, drr=0.0)
    response = place.response(rate, np.random.RandomState(0))
    early = slice(round(0.1 * rt60 * rate), round(0.2 * rt60 * rate))
    late = slice(round(0.6 * rt60 * rate), round(0.7 * rt60 * rate))
    fall = 20 * np.log10(response[early].std() / response[late].std())
    assert fall == pytest.approx(30, abs=1.5)  # in half of the time


@pytest.mark.parametrize("drr", [-6.0, 0.0, 6.0])
def test_the_direct_sound_stands_out(drr):
    response = Reverberation(0.5, drr).response(RATE, np.random.RandomState(0))
    assert response[0] == 1.0
    assert (response[1:40] == 0.0).all()
    tail = 10 * np.log10(np.square(response[1:]).sum())
    assert tail == pytest.approx(-drr)


def test_speech_is_neither_delayed_nor_longer():
    speech = speech_like(0)
    heard = Reverberation(0.5, 6.0).heard(
        speech, RATE, np.random.RandomState(0)
    )
    assert heard.shape == speech.shape
    begin = np.flatnonzero(speech)[0]
    assert np.abs(heard[:begin]).max() < 1e-9
    first = slice(begin, begin + 30)  # before the first echo
    assert np.allclose(heard[first], speech[first])


def test_none_at_all_is_tried():
    assert TRIED[0] is None
    assert len(set(TRIED)) == 16

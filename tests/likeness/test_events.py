"""Noise that comes and goes.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import numpy as np
import pytest

from speechbrain_neuronprune.likeness.events import events
from tests.likeness.sounds import RATE


def test_about_a_third_of_the_time_is_raised():
    factors = [
        events(5 * RATE, RATE, 20.0, np.random.RandomState(n))
        for n in range(10)
    ]
    raised = np.mean(np.concatenate(factors) > 5.0)
    assert 0.2 < raised < 0.4
    assert np.min(factors) == pytest.approx(1.0)
    assert np.max(factors) == pytest.approx(10.0)


@pytest.mark.parametrize("length", [1, 100, 5000])
def test_no_rise_changes_nothing(length):
    factors = events(length, RATE, 0.0, np.random.RandomState(0))
    assert factors.tolist() == [1.0] * length


def test_events_begin_and_end_softly():
    factors = events(2 * RATE, RATE, 20.0, np.random.RandomState(0))
    assert np.abs(np.diff(20 * np.log10(factors))).max() < 0.2  # decibels

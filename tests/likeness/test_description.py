"""What recordings sound like, in figures.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import numpy as np
import pytest

from speechbrain_neuronprune.likeness.description import distance, statistics
from tests.likeness.sounds import RATE, noisy, reverberant, speech_like


def described(*recordings):
    return np.array([statistics(one, RATE) for one in recordings])


def test_level_and_spectrum_do_not_matter():
    speech = noisy(speech_like(0), 20)
    plain, soft = described(speech, 0.01 * speech)
    assert np.allclose(plain, soft, atol=1e-3)


def test_reverberation_and_noise_are_told_apart_from_home():
    home = described(*[noisy(speech_like(n), 40, n) for n in range(8)])
    same = described(*[noisy(speech_like(n), 40, n) for n in range(8, 16)])
    changed = [
        described(*[reverberant(speech_like(n), n) for n in range(8)]),
        described(*[noisy(speech_like(n), 5, n) for n in range(8)]),
    ]
    assert distance(home, home) == 0.0
    for other in changed:
        assert distance(home, other) > 5 * distance(home, same)


def test_silence_can_be_described():
    assert np.isfinite(statistics(np.zeros(1600), RATE)).all()


def test_the_spread_is_that_of_the_second():
    theirs = np.array([[-1.0, 0.0], [1.0, 0.0]])
    assert distance(np.array([[2.0, 0.0]]), theirs) == pytest.approx(
        2, rel=0.01
    )

"""Intervals of differences: paired, repeatable, of the right width.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import math

import numpy as np
import pytest

from speechbrain_neuronprune.analysis.intervals import rate_difference


def draw(size=400, seed=0):
    """Words, errors, and errors that are some more."""
    rng = np.random.default_rng(seed)
    words = rng.integers(5, 15, size)
    errors = rng.binomial(words, 0.3)
    more = errors + rng.binomial(1, 0.2, size)
    return words.tolist(), errors.tolist(), more.tolist()


def test_the_difference_is_in_per_cent_of_the_words():
    words, errors, more = draw()
    found = rate_difference(more, errors, words)
    expected = 100 * (sum(more) - sum(errors)) / sum(words)
    assert found["difference"] == pytest.approx(expected)
    assert found["low"] < expected < found["high"]
    assert rate_difference(more, errors, words) == found


def test_the_other_way_round():
    words, errors, more = draw()
    one = rate_difference(more, errors, words)
    other = rate_difference(errors, more, words)
    assert other["low"] == pytest.approx(-one["high"])
    assert other["high"] == pytest.approx(-one["low"])


def test_its_width_is_that_of_a_normal_approximation():
    words, errors, more = draw()
    found = rate_difference(more, errors, words)
    extra = np.subtract(more, errors)
    residual = extra - extra.mean() / np.mean(words) * np.array(words)
    deviation = 100 * residual.std() / np.mean(words) / math.sqrt(len(words))
    width = found["high"] - found["low"]
    assert width == pytest.approx(2 * 1.96 * deviation, rel=0.1)


def test_equal_errors_are_surely_equal():
    words, errors, _ = draw()
    expected = {"difference": 0.0, "low": 0.0, "high": 0.0}
    assert rate_difference(errors, errors, words) == expected


def test_one_utterance_has_no_interval():
    assert rate_difference([1], [0], [5]) is None

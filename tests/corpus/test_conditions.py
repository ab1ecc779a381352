"""Conditions as they are written.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import pytest

from speechbrain_neuronprune.corpus.conditions import parse_condition
from speechbrain_neuronprune.errors import DataError


def test_conditions_are_read_in_order():
    assert list(parse_condition("phone+noise:-2.5+room").items()) == [
        ("phone", None),
        ("noise", -2.5),
        ("room", None),
    ]


@pytest.mark.parametrize("text", ["", "cave", "room+", "room:3", "Phone"])
def test_an_unknown_condition_is_refused(text):
    with pytest.raises(DataError, match="use room, noise:SNR, phone"):
        parse_condition(text)


@pytest.mark.parametrize("snr", ["", "loud", "nan", "inf", "1e9", "3:4"])
def test_a_bad_snr_is_refused(snr):
    with pytest.raises(DataError, match="no proper signal-to-noise ratio"):
        parse_condition(f"room+noise:{snr}")


def test_an_snr_must_be_named():
    with pytest.raises(DataError, match="for instance noise:10"):
        parse_condition("noise")


def test_nothing_happens_twice():
    with pytest.raises(DataError, match="names noise twice"):
        parse_condition("noise:3+room+noise:5")

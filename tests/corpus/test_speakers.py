"""The speakers of the embedded corpus.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import numpy as np

from speechbrain_neuronprune.corpus.speakers import (
    ACCENTS,
    VARIANTS,
    draw_speakers,
)


def test_accents_and_variants_are_listed_once():
    assert len(set(ACCENTS)) == len(ACCENTS) == 8
    assert len(set(VARIANTS)) == len(VARIANTS) == 26


def test_no_two_speakers_share_accent_and_variant():
    speakers = draw_speakers(208, np.random.RandomState(0))
    voices = {(s.voice.accent, s.voice.variant) for s in speakers}
    assert len(voices) == 208


def test_numbers_count_upwards():
    speakers = draw_speakers(5, np.random.RandomState(0))
    assert [s.number for s in speakers] == [1001, 1002, 1003, 1004, 1005]


def test_pitch_and_rate_stay_within_natural_speech():
    speakers = draw_speakers(208, np.random.RandomState(0))
    assert all(30 <= s.voice.pitch <= 70 for s in speakers)
    assert all(150 <= s.voice.rate <= 210 for s in speakers)


def test_the_seed_decides():
    first, again, other = (
        draw_speakers(10, np.random.RandomState(seed)) for seed in (0, 0, 1)
    )
    assert first == again != other

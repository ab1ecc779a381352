"""How a domain sounds, from its unlabelled speech.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import numpy as np
import pytest

from speechbrain_neuronprune.corpus.audio import level, write_audio
from speechbrain_neuronprune.corpus.splits import find_speech
from speechbrain_neuronprune.errors import DataError
from speechbrain_neuronprune.likeness import sound as module
from speechbrain_neuronprune.likeness.description import distance, statistics
from speechbrain_neuronprune.likeness.reverberation import Reverberation
from speechbrain_neuronprune.likeness.sound import estimate_sound
from tests.likeness.sounds import (
    RATE,
    noisy,
    reverberant,
    speech_like,
    write_split,
)

FEW = (None, Reverberation(0.2, 6.0), Reverberation(0.8, -6.0))


@pytest.fixture(autouse=True)
def few_trials(monkeypatch):
    monkeypatch.setattr(module, "TRIED", FEW)


@pytest.fixture(scope="module")
def speech(tmp_path_factory):
    """The recordings of home and of several domains."""
    corpus = tmp_path_factory.mktemp("corpus")
    kinds = {
        "home": {"snr": 45},
        "dry": {"snr": 45, "count": 8},
        "noise": {"snr": 5},
        "room": {"change": reverberant},
    }
    return {
        name: find_speech(write_split(corpus / name, **options))
        for name, options in kinds.items()
    }


@pytest.fixture(scope="module")
def room(speech):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "TRIED", FEW)
        return estimate_sound(speech["home"], speech["room"])


def test_a_room_reverberates(room, speech):
    assert room.reverberation == Reverberation(0.8, -6.0)
    dry = estimate_sound(speech["home"], speech["dry"])
    assert dry.reverberation is None
    assert dry.before < 0.3 * room.before


def test_noise_is_heard(speech):
    sound = estimate_sound(speech["home"], speech["noise"])
    assert sound.noisy
    middle = sound.figures()["snr_quartiles"][1]
    assert middle == pytest.approx(5, abs=3)
    assert sound.reverberation is None


def test_altered_speech_is_nearer(room):
    """Also speech that the estimate did not hear."""
    mine = [noisy(speech_like(n), 45, n) for n in range(20, 26)]
    goal = [reverberant(speech_like(n), n) for n in range(26, 32)]
    altered = [
        room.alter(one, np.random.RandomState(n)) for n, one in enumerate(mine)
    ]
    figures = [
        np.array([statistics(one, RATE) for one in recordings])
        for recordings in (mine, altered, goal)
    ]
    before, after = (distance(one, figures[2]) for one in figures[:2])
    assert after < 0.3 * before
    assert room.after < 0.3 * room.before


def test_level_and_length_of_what_is_altered(room):
    speech = speech_like(3)
    altered = room.alter(speech, np.random.RandomState(0))
    assert altered.shape == speech.shape
    assert level(altered) == pytest.approx(3000 / 32768, rel=0.05)
    silent = room.alter(np.zeros(800), np.random.RandomState(0))
    assert np.isfinite(silent).all()


def test_the_draws_decide(room):
    one, two, three = (
        room.alter(speech_like(3), np.random.RandomState(n)) for n in (0, 0, 1)
    )
    assert np.array_equal(one, two)
    assert not np.array_equal(one, three)


def test_the_same_request_gives_the_same_estimate(room, speech):
    again = estimate_sound(speech["home"], speech["room"])
    assert again.figures() == room.figures()
    assert np.array_equal(again.equaliser, room.equaliser)


def test_the_estimate_in_words(room, speech):
    assert "reverberation for 0.8 s, the direct sound at -6 dB" in (
        room.describe()
    )
    assert len(room.describe().splitlines()) == 3
    dry = estimate_sound(speech["home"], speech["dry"])
    assert "no reverberation" in dry.describe()
    assert dry.figures()["rt60"] is None


# ------------------------------------------------------------------- errors


def test_no_speech_is_refused(speech):
    with pytest.raises(DataError, match="no speech of the new domain"):
        estimate_sound(speech["home"], [])


def test_other_rates_are_refused(speech, tmp_path):
    slow = write_split(tmp_path / "slow", snr=20, rate=8_000)
    with pytest.raises(DataError, match="8000 Hz, but the first one of the"):
        estimate_sound(speech["home"], find_speech(slow))


def test_a_domain_without_pauses_is_refused(speech, tmp_path):
    path = tmp_path / "short.flac"
    write_audio(path, speech_like(0)[:1000], RATE)
    with pytest.raises(DataError, match="None of 1 recordings .* has a pause"):
        estimate_sound(speech["home"], [path])


def test_silent_home_speech_is_refused(speech, tmp_path):
    path = tmp_path / "silent.flac"
    write_audio(path, np.zeros(RATE), RATE)
    with pytest.raises(DataError, match="all silent or shorter than 0.1 s"):
        estimate_sound([path], speech["room"])

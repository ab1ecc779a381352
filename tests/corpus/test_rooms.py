"""Rooms.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechbrain_neuronprune.corpus import rooms
from speechbrain_neuronprune.corpus.audio import level
from speechbrain_neuronprune.corpus.rooms import (
    Response,
    draw_rooms,
    pooled_response,
    reverberate,
    simulate,
)
from speechbrain_neuronprune.errors import DataError

SPEED = 343.0  # of sound, metres per second


def decay_time(samples, rate):
    """RT60 from the slope between -5 and -25 dB of the energy that is still
    to come (Schroeder)."""
    to_come = np.cumsum(np.square(samples)[::-1])[::-1]
    decibels = 10 * np.log10(to_come[to_come > 0] / to_come[0])
    start, end = np.argmax(decibels < -5), np.argmax(decibels < -25)
    slope = np.polyfit(np.arange(start, end) / rate, decibels[start:end], 1)[0]
    return -60 / slope


# ---------------------------------------------------------------- the pool


@given(seed=st.integers(-(2**70), 2**70))
def test_speaker_and_microphone_are_in_the_room(seed):
    for room in draw_rooms(seed, count=4):
        for place in (room.mouth, room.microphone):
            assert (place[:2] >= 0.5).all()
            assert (place[:2] <= room.size[:2] - 0.5).all()
            assert 1.0 <= place[2] <= 1.8 < room.size[2]
        assert 0.5 <= np.linalg.norm(room.mouth - room.microphone) <= 3.0


def test_the_times_cover_the_range():
    times = [room.rt60 for room in draw_rooms()]
    assert len(times) == 16
    assert times == sorted(times)
    assert (times[0], times[-1]) == (0.2, 0.8)


def test_another_seed_gives_other_rooms():
    one, same, other = draw_rooms(0), draw_rooms(0), draw_rooms(1)
    assert all((a.size == b.size).all() for a, b in zip(one, same, strict=True))
    assert not any(
        (a.size == b.size).any() for a, b in zip(one, other, strict=True)
    )


# ------------------------------------------------------------ the simulation


@pytest.mark.parametrize("number, rate", [(0, 16_000), (5, 8_000), (9, 16_000)])
def test_a_room_decays_as_it_shall(number, rate):
    pytest.importorskip("pyroomacoustics")
    room = draw_rooms()[number]
    response = pooled_response(number, rate)
    measured = decay_time(response.samples[response.direct :], rate)
    assert measured == pytest.approx(room.rt60, rel=0.2)


def test_the_direct_sound_comes_from_the_mouth():
    """It starts 40 samples late, as the simulation's filters are that long;
    before there is only the beginning of these filters."""
    pytest.importorskip("pyroomacoustics")
    room = draw_rooms()[0]
    response = pooled_response(0, 16_000)
    distance = np.linalg.norm(room.mouth - room.microphone)
    assert response.direct == round(distance / SPEED * 16_000) + 40
    before = np.square(response.samples[: response.direct - 2]).sum()
    direct = response.samples[response.direct] ** 2
    assert before < 0.2 * direct
    # The nearest wall is an echo of its own.
    assert np.abs(response.samples).argmax() == response.direct


def test_the_number_of_threads_makes_no_difference():
    pra = pytest.importorskip("pyroomacoustics")
    room = draw_rooms()[0]
    before = pra.constants.get("num_threads")
    try:
        pra.constants.set("num_threads", 3)
        response = simulate(room, 16_000)
        assert pra.constants.get("num_threads") == 3
    finally:
        pra.constants.set("num_threads", before)
    expected = pooled_response(0, 16_000)
    assert (response.samples == expected.samples).all()


def test_a_room_is_simulated_once(monkeypatch):
    pytest.importorskip("pyroomacoustics")
    response = pooled_response(0, 16_000)
    monkeypatch.setattr(rooms, "simulate", None)  # would raise
    assert pooled_response(0, 16_000) is response


def test_without_the_library_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"speechbrain-neuronprune\[demo\]"):
        simulate(draw_rooms()[0], 16_000)


# ---------------------------------------------------------------- the speech


@given(
    length=st.integers(1, 60),
    direct=st.integers(0, 5),
    tail=st.integers(1, 30),
    seed=st.integers(0, 1000),
)
def test_reverberation_against_plain_loops(length, direct, tail, seed):
    rng = np.random.RandomState(seed)
    speech = rng.standard_normal(length)
    clicks = rng.standard_normal(direct + tail)
    expected = np.zeros(length)
    for time in range(length):
        for delay, click in enumerate(clicks, start=-direct):
            if 0 <= time - delay < length:
                expected[time] += click * speech[time - delay]
    expected *= np.sqrt(np.mean(speech**2) / np.mean(expected**2))
    heard = reverberate(speech, Response(clicks, direct))
    assert np.allclose(heard, expected, rtol=1e-6, atol=1e-8)
    assert level(heard) == pytest.approx(level(speech))


def test_speech_goes_on_in_the_room_after_its_end():
    pytest.importorskip("pyroomacoustics")
    speech = np.zeros(8_000)
    speech[:4_000] = np.random.RandomState(0).standard_normal(4_000)
    heard = reverberate(speech, pooled_response(5, 8_000))
    tails = [
        level(heard[start : start + 800]) for start in range(4000, 8000, 800)
    ]
    assert tails[0] > 0.05 * level(heard)
    assert tails == sorted(tails, reverse=True)


def test_silence_stays_silent():
    heard = reverberate(np.zeros(50), Response(np.ones(3), 1))
    assert (heard == 0).all()

"""Noise.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechbrain_neuronprune.corpus import noises
from speechbrain_neuronprune.corpus.audio import level, read_audio, write_audio
from speechbrain_neuronprune.corpus.noises import (
    MadeNoise,
    RecordedNoise,
    add_noise,
    coloured_noise,
    excerpt,
    hum,
)
from speechbrain_neuronprune.errors import DataError
from speechbrain_neuronprune.randomness import random_for

RATE = 8_000


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    """Twelve utterances of half a second, all different."""
    folder = tmp_path_factory.mktemp("split")
    paths = [folder / f"{number}-1-0000.flac" for number in range(12)]
    for number, path in enumerate(paths):
        speech = np.random.RandomState(number).uniform(-0.5, 0.5, RATE // 2)
        write_audio(path, speech, RATE)
    return paths


# --------------------------------------------------------------------- SNR


@given(
    snr=st.floats(-40, 80),
    speech_level=st.floats(1e-3, 1.0),
    noise_level=st.floats(1e-3, 1e3),
    seed=st.integers(0, 1000),
)
def test_the_snr_is_the_one_asked_for(snr, speech_level, noise_level, seed):
    rng = np.random.RandomState(seed)
    speech = speech_level * rng.standard_normal(500)
    noise = noise_level * rng.uniform(-1, 1, 500)
    added = add_noise(speech, noise, snr) - speech
    measured = 10 * np.log10(np.sum(speech**2) / np.sum(added**2))
    assert measured == pytest.approx(snr, abs=1e-6)
    assert np.corrcoef(added, noise)[0, 1] == pytest.approx(1)


def test_silence_stays_silent():
    noise = np.random.RandomState(0).standard_normal(9)
    assert np.abs(add_noise(np.zeros(9), noise, 0.0)).max() < 1e-100


# --------------------------------------------------------------- made noise


@pytest.mark.parametrize("slope", [0.0, 1.0, 2.0])
def test_the_power_falls_with_frequency(monkeypatch, slope):
    monkeypatch.setattr(noises, "FLATTEST", slope)
    monkeypatch.setattr(noises, "STEEPEST", slope)
    samples = coloured_noise(20 * RATE, RATE, np.random.RandomState(0))
    power = np.abs(np.fft.rfft(samples)) ** 2
    frequencies = np.fft.rfftfreq(len(samples), 1 / RATE)

    def density(frequency):
        near = np.abs(frequencies / frequency - 1) < 0.05
        return power[near].mean()

    octave = 10 * np.log10(density(500) / density(1000))
    assert octave == pytest.approx(3.01 * slope, abs=0.7)
    assert density(20) == pytest.approx(density(45), rel=0.3)


def test_hum_is_the_mains_and_its_harmonics():
    for seed in range(5):
        samples = hum(RATE, RATE, np.random.RandomState(seed))
        power = np.abs(np.fft.rfft(samples)) ** 2  # of 0, 1, 2, ... Hz
        shares = [power[mains::mains].sum() / power.sum() for mains in (50, 60)]
        assert max(shares) > 0.999
        assert np.count_nonzero(power > 1e-6 * power.max()) > 20


@given(rate=st.integers(50, 50_000), length=st.integers(1, 400))
def test_noise_has_the_length_asked_for(rate, length):
    for make in (coloured_noise, hum):
        samples = make(length, rate, np.random.RandomState(0))
        assert samples.shape == (length,)
        assert np.isfinite(samples).all()


def test_babble_is_the_sum_of_all_others_where_there_are_few(split):
    few = split[:4]
    source = MadeNoise(few)
    babble = source.babble(few[1], RATE // 2, RATE, np.random.RandomState(0))
    others = [read_audio(path)[0] for path in few if path != few[1]]
    expected = sum(speech / level(speech) for speech in others)
    assert np.allclose(babble, expected)


def test_six_others_babble(split):
    for path in split:
        talkers = MadeNoise(split)._talkers(path, 0.5)
        assert len(set(talkers)) == 6
        assert path not in talkers


@given(place=st.floats(0, 0.999), left_out=st.integers(0, 11))
def test_leaving_others_out_does_not_change_the_babble(split, place, left_out):
    talkers = MadeNoise(split)._talkers(split[0], place)
    rest = [path for path in split if path != split[left_out]]
    fewer = MadeNoise(rest)._talkers(split[0], place)
    kept = [path for path in talkers if path != split[left_out]]
    assert fewer[: len(kept)] == kept


def test_everything_babbles_sometime(split):
    source = MadeNoise(split)
    places = np.random.RandomState(0).random_sample(200)
    heard = {
        path for place in places for path in source._talkers(split[0], place)
    }
    assert heard == set(split[1:])


def test_all_three_kinds_are_made(split, monkeypatch):
    made = []

    def maker(name):
        def make(length, rate, rng):
            made.append(name)
            return np.ones(length)

        return make

    monkeypatch.setattr(noises, "hum", maker("hum"))
    monkeypatch.setattr(noises, "coloured_noise", maker("coloured"))
    monkeypatch.setattr(
        MadeNoise,
        "babble",
        lambda self, utterance, *rest: maker("babble")(*rest),
    )
    for number in range(30):
        MadeNoise(split).draw(split[0], 5, RATE, random_for(number))
    assert set(made) == {"hum", "coloured", "babble"}
    made.clear()
    for number in range(30):
        MadeNoise(split[:1]).draw(split[0], 5, RATE, random_for(number))
    assert set(made) == {"hum", "coloured"}


# ----------------------------------------------------------- recorded noise


@given(
    noise=st.integers(1, 20), length=st.integers(1, 50), seed=st.integers(0, 99)
)
def test_an_excerpt_follows_its_source(noise, length, seed):
    piece = excerpt(np.arange(noise), length, np.random.RandomState(seed))
    assert len(piece) == length
    steps = np.diff(piece)
    if length <= noise:
        assert (steps == 1).all()
    else:
        assert ((steps == 1) | (steps == 1 - noise)).all()


def test_excerpts_begin_everywhere():
    rng = np.random.RandomState(0)
    starts = {excerpt(np.arange(9), 5, rng)[0] for _ in range(200)}
    assert starts == set(range(5))
    starts = {excerpt(np.arange(3), 5, rng)[0] for _ in range(200)}
    assert starts == set(range(3))


def test_files_are_found_and_converted(tmp_path):
    time = np.arange(2 * RATE) / (2 * RATE)
    (tmp_path / "deep").mkdir()
    tone = 0.3 * np.sin(2 * np.pi * 440 * time)
    write_audio(tmp_path / "deep" / "tone.wav", tone, 2 * RATE)
    source = RecordedNoise(tmp_path)
    piece = source.draw(tmp_path, RATE // 2, RATE, np.random.RandomState(0))
    power = np.abs(np.fft.rfft(piece)) ** 2  # of 0, 2, 4, ... Hz
    assert power.argmax() == 220
    assert power[218:223].sum() > 0.99 * power.sum()


def test_silence_is_passed_over(tmp_path):
    write_audio(tmp_path / "silent.wav", np.zeros(99), RATE)
    write_audio(tmp_path / "loud.wav", np.full(99, 0.5), RATE)
    source = RecordedNoise(tmp_path)
    for seed in range(10):
        piece = source.draw(tmp_path, 50, RATE, np.random.RandomState(seed))
        assert level(piece) == pytest.approx(0.5, abs=1e-4)


def test_silence_alone_is_no_noise(tmp_path):
    write_audio(tmp_path / "silent.wav", np.zeros(99), RATE)
    with pytest.raises(DataError, match="next to nothing but silence"):
        RecordedNoise(tmp_path).draw(
            tmp_path, 50, RATE, np.random.RandomState(0)
        )


def test_a_folder_without_audio_is_no_noise(tmp_path):
    (tmp_path / "README.txt").touch()
    with pytest.raises(DataError, match="holds no audio files"):
        RecordedNoise(tmp_path)


def test_an_unreadable_noise_file_is_named(tmp_path):
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    with pytest.raises(DataError, match=r"broken\.wav cannot be decoded"):
        RecordedNoise(tmp_path).draw(
            tmp_path, 50, RATE, np.random.RandomState(0)
        )

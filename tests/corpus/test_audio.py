"""Reading and writing audio.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from speechbrain_neuronprune.corpus.audio import (
    find_audio,
    level,
    read_audio,
    write_audio,
)
from speechbrain_neuronprune.errors import DataError


def tone(frequency, rate, seconds=0.25, peak=0.5):
    time = np.arange(round(seconds * rate)) / rate
    return peak * np.sin(2 * np.pi * frequency * time)


@given(peak=st.floats(0.0, 50.0), rate=st.sampled_from([8000, 16000, 44100]))
def test_what_is_written_is_read(tmp_path_factory, peak, rate):
    path = tmp_path_factory.mktemp("audio") / "a.flac"
    samples = tone(440, rate, seconds=0.01, peak=peak)
    write_audio(path, samples, rate)
    loudest = np.abs(samples).max()
    expected = samples * min(1.0, 0.99 / max(loudest, 0.99))
    read, read_rate = read_audio(path)
    assert read_rate == rate
    assert soundfile.info(path).subtype == "PCM_16"
    assert np.abs(read - expected).max() <= 0.51 / 32768


def test_several_channels_become_their_mean(tmp_path):
    left, right = tone(300, 8000), tone(500, 8000)
    both = np.stack([left, right], 1)
    soundfile.write(tmp_path / "a.wav", both, 8000, subtype="DOUBLE")
    samples, _ = read_audio(tmp_path / "a.wav")
    assert np.allclose(samples, (left + right) / 2)


@pytest.mark.parametrize("own, wanted", [(8000, 16000), (44100, 16000)])
def test_another_rate_sounds_the_same(tmp_path, own, wanted):
    soundfile.write(tmp_path / "a.wav", tone(440, own), own, subtype="DOUBLE")
    samples, rate = read_audio(tmp_path / "a.wav", wanted)
    assert rate == wanted
    assert len(samples) == round(0.25 * wanted)
    expected = tone(440, wanted)
    middle = slice(len(samples) // 4, -len(samples) // 4)
    assert np.abs(samples - expected)[middle].max() < 0.005


def test_only_audio_is_found(tmp_path):
    for name in ("b/2.WAV", "a/1.flac", "a/1.trans.txt", "a/._1.flac"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    names = [
        path.relative_to(tmp_path).as_posix() for path in find_audio(tmp_path)
    ]
    assert names == ["a/1.flac", "b/2.WAV"]
    assert find_audio(tmp_path / "nowhere") == []


@pytest.mark.parametrize("content", [b"", b"no audio at all"])
def test_what_cannot_be_decoded_is_named(tmp_path, content):
    (tmp_path / "a.flac").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.flac cannot be decoded"):
        read_audio(tmp_path / "a.flac")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"a\.flac cannot be decoded"):
        read_audio(tmp_path / "a.flac")


def test_no_samples_are_named(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(0), 8000)
    with pytest.raises(DataError, match=r"a\.wav is empty or truncated"):
        read_audio(tmp_path / "a.wav")


def test_a_cut_file_is_named(tmp_path):
    path = tmp_path / "a.flac"
    noise = np.random.RandomState(0).uniform(-0.5, 0.5, 50_000)
    soundfile.write(path, noise, 8000)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=r"a\.flac"):
        read_audio(path)


def test_the_level_of_silence_is_no_trap():
    assert level(np.zeros(5)) > 0
    assert (np.zeros(5) / level(np.zeros(5)) == 0).all()
    assert level(np.array([3.0, -4.0])) == pytest.approx(12.5**0.5)

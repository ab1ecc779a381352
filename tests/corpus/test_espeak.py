"""The binding to eSpeak NG.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import io
import json
import subprocess
import sys
import time

import numpy as np
import pytest

espeakng_loader = pytest.importorskip("espeakng_loader")

from speechbrain_neuronprune.corpus import espeak  # noqa: E402
from speechbrain_neuronprune.corpus.espeak import Espeak, Voice  # noqa: E402
from speechbrain_neuronprune.corpus.speakers import (  # noqa: E402
    ACCENTS,
    VARIANTS,
)

TEXT = "please carry seven yellow bottles and the drums tomorrow"


@pytest.fixture(scope="module")
def library():
    return Espeak()


def spectrum(samples):
    """Return the mean log spectrum of the louder frames, in 64 bands."""
    frames = samples[: len(samples) // 512 * 512].reshape(-1, 512) / 32768
    power = np.abs(np.fft.rfft(frames * np.hanning(512))[:, :256]) ** 2
    power = power[power.sum(1) > 1e-3 * power.sum(1).max()]
    bands = power.reshape(len(power), 64, 4).sum(2)
    return np.log(bands + 1e-6).mean(0)


def test_speech_is_heard(library):
    samples = library.say(TEXT, Voice("en-us", "f2"))
    assert library.sample_rate == 22050
    assert samples.dtype == np.int16
    assert 2 < len(samples) / library.sample_rate < 5
    assert samples.std() > 500


def test_every_accent_sounds_different(library):
    # The variant adam has no flutter, so that it repeats itself exactly.
    voices = [Voice(accent, "adam") for accent in ACCENTS]
    first = [library.say(TEXT, voice).tobytes() for voice in voices]
    again = [library.say(TEXT, voice).tobytes() for voice in voices]
    assert first == again
    assert len(set(first)) == len(ACCENTS)


def test_every_variant_sounds_different(library):
    voices = [Voice("en-us", variant) for variant in VARIANTS]
    first = np.array([spectrum(library.say(TEXT, voice)) for voice in voices])
    again = np.array([spectrum(library.say(TEXT, voice)) for voice in voices])
    distance = np.abs(first[:, None] - again[None]).mean(2)
    to_itself = np.diag(distance).copy()
    np.fill_diagonal(distance, np.inf)
    assert (to_itself < distance.min(0)).all()


def test_rate_and_pitch_are_heard_and_do_not_stick(library):
    plain = library.say(TEXT, Voice("en-us", "adam"))
    fast = library.say(TEXT, Voice("en-us", "adam", rate=220))
    high = library.say(TEXT, Voice("en-us", "adam", pitch=90))
    again = library.say(TEXT, Voice("en-us", "adam"))
    assert len(fast) < 0.9 * len(plain)
    assert not np.array_equal(high, plain)
    assert np.array_equal(again, plain)


@pytest.mark.parametrize("accent, variant", [("en-us", "F2x"), ("xx", "f2")])
def test_an_unknown_voice_is_refused(library, accent, variant):
    with pytest.raises(ValueError, match=rf"no voice {accent}\+{variant}"):
        library.say(TEXT, Voice(accent, variant))


def test_a_data_path_too_long_for_the_library_is_refused(monkeypatch):
    path = "/" + "long/" * 40
    monkeypatch.setattr(espeakng_loader, "get_data_path", lambda: path)
    with pytest.raises(ValueError, match="nearer the root"):
        Espeak()


def test_the_worker_answers_with_the_rate_and_the_lengths():
    output = io.BytesIO()
    espeak.serve([[["en-us", "m1", 50, 170], "open the windows"]], output)
    content = output.getvalue()
    assert int.from_bytes(content[:4], "little") == 22050
    assert int.from_bytes(content[4:8], "little") == len(content) - 8


def test_two_processes_say_the_same_bytes_whatever_the_clock_says():
    # The breath of f2 is noise, which the library seeds with the time.
    lines = [(Voice("en-us", name), TEXT) for name in ("f2", "m1", "f5")]

    def speak():
        return subprocess.run(
            [sys.executable, espeak.__file__],
            input=json.dumps(lines).encode(),
            stdout=subprocess.PIPE,
            check=True,
        ).stdout

    first = speak()
    time.sleep(1.1)  # the clock that the library reads counts seconds
    assert speak() == first
    assert len(first) > 100_000

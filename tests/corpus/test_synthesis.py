"""Speech from a fresh process.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import subprocess

import numpy as np
import pytest

pytest.importorskip("espeakng_loader")

from speechbrain_neuronprune.corpus import synthesis  # noqa: E402
from speechbrain_neuronprune.corpus.espeak import Espeak, Voice  # noqa: E402
from speechbrain_neuronprune.errors import DataError  # noqa: E402

LINES = [
    (Voice("en-us", "adam"), "open the windows"),
    (Voice("en", "f2"), "please count seven red drums"),
]


def test_speech_is_at_16_khz_and_heard():
    speech = list(synthesis.synthesize(LINES))
    assert len(speech) == 2
    for samples in speech:
        assert 0.5 < len(samples) / 16_000 < 3
        assert samples.std() > 0.01
        assert np.abs(samples).max() < 1


def test_resampling_keeps_the_length_and_the_level():
    voice, text = LINES[0]
    original = Espeak().say(text, voice) / 32768
    resampled = next(synthesis.synthesize(LINES))
    assert len(resampled) / 16_000 == pytest.approx(
        len(original) / 22050, abs=1e-3
    )
    assert resampled.std() == pytest.approx(original.std(), rel=0.1)


def test_the_caller_cannot_change_what_is_said():
    first = [samples.tobytes() for samples in synthesis.synthesize(LINES)]
    Espeak().say("something else", Voice("en-us", "m1"))
    again = [samples.tobytes() for samples in synthesis.synthesize(LINES)]
    assert first == again


def test_stopping_early_ends_the_process(monkeypatch):
    workers = []
    popen = subprocess.Popen
    monkeypatch.setattr(
        subprocess,
        "Popen",
        lambda *args, **kwargs: (
            workers.append(popen(*args, **kwargs)) or workers[0]
        ),
    )
    speech = synthesis.synthesize(50 * LINES)
    next(speech)
    speech.close()
    assert workers[0].returncode is not None


def test_without_the_wheel_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"speechbrain-neuronprune\[demo\]"):
        next(synthesis.synthesize(LINES))


def test_an_error_of_the_process_is_passed_on():
    with pytest.raises(DataError, match=r"no voice en-us\+nobody"):
        list(synthesis.synthesize([(Voice("en-us", "nobody"), "now")]))


def test_a_process_that_dies_at_once_is_reported(monkeypatch, tmp_path):
    script = tmp_path / "silent.py"
    script.write_text("raise SystemExit(3)")
    monkeypatch.setattr(synthesis.espeak, "__file__", str(script))
    with pytest.raises(DataError, match="ended without a word"):
        list(synthesis.synthesize(5000 * LINES))

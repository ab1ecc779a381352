"""Reading some of many recordings.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from pathlib import Path

import numpy as np
import pytest

from speechbrain_neuronprune.corpus.audio import write_audio
from speechbrain_neuronprune.errors import DataError
from speechbrain_neuronprune.likeness.listening import listen, read_at, some
from tests.likeness.sounds import RATE, speech_like


def test_some_are_drawn_by_the_key():
    paths = [Path(str(number)) for number in range(20)]
    drawn = some(paths, 5, 0, "heard")
    assert len(set(drawn)) == 5
    assert drawn == some(paths, 5, 0, "heard")
    assert drawn != some(paths, 5, 1, "heard")
    assert sorted(some(paths, 99, 0, "heard")) == sorted(paths)


def test_what_holds_next_to_nothing_is_passed_over(tmp_path):
    recordings = [speech_like(0), speech_like(0)[:1000], np.zeros(RATE)]
    paths = [tmp_path / f"{number}.flac" for number in range(3)]
    for path, samples in zip(paths, recordings, strict=True):
        write_audio(path, samples, RATE)
    [heard] = listen(paths, RATE)
    assert len(heard) == len(recordings[0])


def test_another_rate_is_refused(tmp_path):
    path = tmp_path / "a.flac"
    write_audio(path, speech_like(0, 8_000), 8_000)
    with pytest.raises(DataError, match="8000 Hz, but the first .* 16000 Hz"):
        read_at(path, RATE)

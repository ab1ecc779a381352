"""Writing a corpus in LibriSpeech's layout.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import numpy as np
import pytest
import soundfile

from speechbrain_neuronprune.corpus.layout import corpus_folder, write_chapter
from speechbrain_neuronprune.errors import DataError


def test_a_chapter_keeps_samples_and_texts(tmp_path):
    samples = np.arange(-800, 800, dtype=np.int16)
    write_chapter(
        tmp_path, 7, 2, [(samples, "open"), (samples[::-1], "find it")]
    )
    folder = tmp_path / "7" / "2"
    first, rate = soundfile.read(folder / "7-2-0000.flac", dtype="int16")
    second, _ = soundfile.read(folder / "7-2-0001.flac", dtype="int16")
    assert rate == 16_000
    assert np.array_equal(first, samples)
    assert np.array_equal(second, samples[::-1])
    transcripts = (folder / "7-2.trans.txt").read_text()
    assert transcripts == "7-2-0000 OPEN\n7-2-0001 FIND IT\n"


def test_the_folder_appears_at_the_end(tmp_path):
    path = tmp_path / "new" / "corpus"
    with corpus_folder(path) as temporary:
        (temporary / "a").write_text("a")
        assert not path.exists()
    assert [child.name for child in path.parent.iterdir()] == ["corpus"]
    assert (path / "a").read_text() == "a"
    assert path.stat().st_mode & 0o777 == 0o755


def test_an_empty_folder_may_be_there(tmp_path):
    with corpus_folder(tmp_path / "corpus") as temporary:
        (temporary / "a").write_text("a")
        (tmp_path / "corpus").mkdir()
    assert (tmp_path / "corpus" / "a").exists()


@pytest.mark.parametrize(
    "problem, message",
    [
        (KeyError("bug"), None),
        (OSError(28, "No space left on device"), "No space left"),
        (DataError("as it is"), "^as it is$"),
    ],
)
def test_a_failure_leaves_nothing(tmp_path, problem, message):
    expected = type(problem) if message is None else DataError
    with pytest.raises(expected, match=message):
        with corpus_folder(tmp_path / "corpus") as temporary:
            (temporary / "a").write_text("half")
            raise problem
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(DataError, match="holds other files"):
        with corpus_folder(tmp_path):
            pass
    assert (tmp_path / "thesis.tex").read_text() == "mine"


@pytest.mark.parametrize("below", [".", "below/it"])
def test_a_file_is_no_folder(tmp_path, below):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(DataError, match="name a folder"):
        with corpus_folder(tmp_path / "file" / below):
            pass
    assert (tmp_path / "file").read_text() == "mine"

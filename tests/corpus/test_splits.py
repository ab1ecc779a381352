"""What belongs to a split, and where its transcripts are.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import pytest

from speechbrain_neuronprune.corpus.splits import (
    find_speech,
    transcript_path,
    transcripts,
)
from speechbrain_neuronprune.errors import DataError


@pytest.fixture
def split(tmp_path):
    chapter = tmp_path / "dev" / "1" / "2"
    chapter.mkdir(parents=True)
    for name in ("1-2-1.wav", "1-2-0.flac", ".1-2-3.flac", "notes.txt"):
        (chapter / name).touch()
    text = "1-2-0 go  on \n\n1-2-1\n"
    (chapter / "1-2.trans.txt").write_text(text)
    return tmp_path / "dev"


def test_speech_is_sorted_and_not_hidden(split):
    names = [path.name for path in find_speech(split)]
    assert names == ["1-2-0.flac", "1-2-1.wav"]


def test_suffixes_may_be_in_upper_case(split):
    (split / "1" / "2" / "1-2-2.FLAC").touch()
    assert find_speech(split)[-1].name == "1-2-2.FLAC"


@pytest.mark.parametrize("name", ["1-2-0.wav", "1-2-0.FLAC"])
def test_two_recordings_of_one_name_are_refused(split, name):
    (split / "1" / "2" / name).touch()
    message = f"named 1-2-0: .*1-2-0.*{name[5:]}.*; rename or remove one"
    with pytest.raises(DataError, match=message):
        find_speech(split)


def test_blank_lines_are_left_out_and_empty_texts_are_not(split):
    assert [(name, text) for _, name, text in transcripts(split)] == [
        ("1-2-0", "GO  ON"),
        ("1-2-1", ""),
    ]


def test_a_transcript_is_in_the_file_of_its_chapter(split):
    files = {path for path, _, _ in transcripts(split)}
    assert files == {transcript_path(audio) for audio in find_speech(split)}


def test_a_split_without_speech(tmp_path):
    with pytest.raises(DataError, match="holds no .flac or .wav files; they"):
        find_speech(tmp_path)

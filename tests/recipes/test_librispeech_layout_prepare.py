"""Preparation of folders in LibriSpeech's layout.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import csv
import importlib.util
import logging
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from speechbrain.dataio.dataset import DynamicItemDataset

from speechbrain_neuronprune.corpus.layout import write_chapter
from speechbrain_neuronprune.errors import DataError

RECIPES = Path(__file__).parents[2] / "recipes" / "LibriSpeech"
spec = importlib.util.spec_from_file_location(
    "librispeech_layout_prepare", RECIPES / "librispeech_layout_prepare.py"
)
prepare = importlib.util.module_from_spec(spec)
spec.loader.exec_module(prepare)

SPLITS = ["train-a", "train-b", "dev", "test"]
LENGTHS = (1600, 2400)


@pytest.fixture
def data(tmp_path):
    """A corpus of four splits of two speakers, each of two utterances."""
    rng = np.random.RandomState(0)
    folder = tmp_path / "data"
    for index, split in enumerate(SPLITS):
        for speaker in (10 * index + 1, 10 * index + 2):
            utterances = [
                (rng.randint(-999, 999, size).astype(np.int16), "Find, it")
                for size in LENGTHS
            ]
            write_chapter(folder / split, speaker, 3, utterances)
    return folder


@pytest.fixture
def save(tmp_path):
    return tmp_path / "save"


def run(data, save, **changes):
    arguments = {
        "tr_splits": ["train-a", "train-b"],
        "dev_splits": ["dev"],
        "te_splits": ["test"],
    }
    prepare.prepare_librispeech_layout(data, save, **(arguments | changes))


def rows(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_every_split_gets_a_csv_and_training_one_of_all(data, save):
    run(data, save)
    expected = [f"{split}.csv" for split in sorted(SPLITS)]
    assert names(save) == sorted([*expected, "train.csv", prepare.FINGERPRINT])
    merged = rows(save / "train-a.csv") + rows(save / "train-b.csv")
    assert rows(save / "train.csv") == merged
    assert len(merged) == 8


def test_a_row_tells_all_about_an_utterance(data, save):
    run(data, save)
    assert rows(save / "dev.csv")[1] == {
        "ID": "21-3-0001",
        "duration": "0.15",
        "wav": str(data / "dev" / "21" / "3" / "21-3-0001.flac"),
        "spk_id": "21",
        "wrd": "FIND, IT",
    }


def test_speechbrain_reads_the_files(data, save):
    run(data, save)
    dataset = DynamicItemDataset.from_csv(save / "test.csv")
    dataset.set_output_keys(["id", "duration", "wav", "wrd"])
    assert len(dataset) == 4
    assert dataset[0]["duration"] == 0.1
    assert dataset[0]["wrd"] == "FIND, IT"
    assert Path(dataset[0]["wav"]).is_file()


def test_wav_files_are_read_like_flac_files(data, save):
    for path in data.rglob("*.flac"):
        samples, rate = soundfile.read(path, dtype="int16")
        soundfile.write(path.with_suffix(".wav"), samples, rate)
        path.unlink()
    run(data, save)
    assert [row["duration"] for row in rows(save / "dev.csv")] == [
        *("0.1", "0.15"),
        *("0.1", "0.15"),
    ]


def test_hidden_files_are_no_speech(data, save):
    (data / "dev" / "21" / "3" / "._21-3-0000.flac").write_bytes(b"finder")
    run(data, save)
    assert len(rows(save / "dev.csv")) == 4


def test_a_single_training_split_may_be_named_train(data, save):
    (data / "train-a").rename(data / "train")
    run(data, save, tr_splits=["train"])
    assert len(rows(save / "train.csv")) == 4


def test_a_relative_data_folder_becomes_absolute(data, save, monkeypatch):
    monkeypatch.chdir(data.parent)
    run("data", save)
    assert all(Path(row["wav"]).is_file() for row in rows(save / "dev.csv"))
    assert all(Path(row["wav"]).is_absolute() for row in rows(save / "dev.csv"))


def test_skip_prep_does_nothing(tmp_path, save):
    run(tmp_path / "missing", save, skip_prep=True)
    assert not save.exists()


def test_nothing_is_done_twice(data, save, monkeypatch):
    run(data, save)
    monkeypatch.setattr(prepare, "read_split", None)
    run(data, save)


@pytest.mark.parametrize(
    "change",
    [
        lambda data, save: (save / "dev.csv").unlink(),
        lambda data, save: (save / "dev.csv").write_text("ID"),
        lambda data, save: (save / prepare.FINGERPRINT).write_text("[]"),
        lambda data, save: (save / prepare.FINGERPRINT).write_text("{"),
    ],
)
def test_damaged_files_are_written_anew(data, save, change):
    run(data, save)
    before = (save / "dev.csv").read_bytes()
    change(data, save)
    run(data, save)
    assert (save / "dev.csv").read_bytes() == before


def test_a_changed_corpus_is_read_anew(data, save):
    run(data, save)
    silence = np.zeros(800, dtype=np.int16)
    write_chapter(data / "dev", 29, 3, [(silence, "new")])
    run(data, save)
    assert rows(save / "dev.csv")[-1]["wrd"] == "NEW"


def test_other_splits_are_read_anew(data, save):
    run(data, save, te_splits=[])
    run(data, save)
    assert len(rows(save / "test.csv")) == 4


def test_a_transcript_without_audio_is_a_warning(data, save, caplog):
    (data / "dev" / "21" / "3" / "21-3-0000.flac").unlink()
    with caplog.at_level(logging.WARNING):
        run(data, save)
    assert "21-3-0000" in caplog.text
    assert len(rows(save / "dev.csv")) == 3


def utterance(data):
    return data / "dev" / "21" / "3" / "21-3-0001.flac"


def transcripts(data):
    return data / "dev" / "21" / "3" / "21-3.trans.txt"


def cut_flac(data):
    content = utterance(data).read_bytes()
    utterance(data).write_bytes(content[: len(content) * 2 // 3])


def write_wav(path, size=1600, rate=16_000, channels=1):
    path.unlink(missing_ok=True)
    samples = np.ones((size, channels), dtype=np.int16)
    soundfile.write(path.with_suffix(".wav"), samples, rate)
    return path.with_suffix(".wav")


def cut_wav(data):
    path = write_wav(utterance(data))
    path.write_bytes(path.read_bytes()[:-2])


def lose_last_flac_frames(data):
    # A header that promises one sample more than there is.
    content = bytearray(utterance(data).read_bytes())
    [size] = struct.unpack(">I", content[22:26])
    assert size == LENGTHS[1]
    content[22:26] = struct.pack(">I", size + 1)
    utterance(data).write_bytes(content)


def lose_transcript_line(data):
    lines = transcripts(data).read_text().splitlines()
    transcripts(data).write_text(lines[0] + "\n\n")


def name_two_alike(data):
    write_chapter(
        data / "train-b", 1, 3, [(np.ones(800, dtype=np.int16), "again")]
    )


DAMAGES = {
    "garbage": (
        lambda data: utterance(data).write_bytes(b"garbage"),
        r"21-3-0001\.flac cannot be decoded",
    ),
    "no content": (
        lambda data: utterance(data).write_bytes(b""),
        r"21-3-0001\.flac cannot be decoded",
    ),
    "truncated flac": (cut_flac, r"21-3-0001\.flac .*(decoded|truncated)"),
    "short flac": (
        lose_last_flac_frames,
        r"21-3-0001\.flac .*(decoded|truncated)",
    ),
    "truncated wav": (cut_wav, r"21-3-0001\.wav is empty or truncated"),
    "no samples": (
        lambda data: write_wav(utterance(data), size=0),
        r"21-3-0001\.wav is empty or truncated: it ends after 0 samples",
    ),
    "sample rate": (
        lambda data: write_wav(utterance(data), rate=8000),
        r"8000 Hz, but 1 channel at 16000 Hz \(16 kHz\) is expected",
    ),
    "stereo": (
        lambda data: write_wav(utterance(data), channels=2),
        r"2 channel\(s\) at 16000 Hz",
    ),
    "no transcripts": (
        lambda data: transcripts(data).unlink(),
        r"2 utterance\(s\) of .*dev have no transcript, .*21-3-0000\.flac",
    ),
    "no line": (
        lose_transcript_line,
        r"1 utterance\(s\) of .*21-3-0001\.flac; add a line .*21-3\.trans",
    ),
    "no words": (
        lambda data: transcripts(data).write_text("21-3-0000 A\n21-3-0001 \n"),
        r"transcript of 21-3-0001 in .*21-3\.trans\.txt is empty",
    ),
    "no text": (
        lambda data: transcripts(data).write_bytes(b"21-3-0000 \xff"),
        r"21-3\.trans\.txt cannot be read",
    ),
    "no audio": (
        lambda data: [p.unlink() for p in (data / "dev").rglob("*.flac")],
        r"split .*dev holds no \.flac or \.wav files; .*dev/SPEAKER/CHAPTER",
    ),
    "two alike": (name_two_alike, r"for train\.csv are named 1-3-0000"),
    "flac and wav": (
        lambda data: soundfile.write(
            utterance(data).with_suffix(".wav"), np.ones(800), 16_000
        ),
        r"of .*dev are named 21-3-0001: .*\.flac and .*\.wav",
    ),
}


@pytest.mark.parametrize("damage, message", DAMAGES.values(), ids=DAMAGES)
def test_bad_speech_is_one_clear_sentence_and_no_file(
    data, save, damage, message
):
    damage(data)
    with pytest.raises(DataError, match=message) as caught:
        run(data, save)
    assert "\n" not in str(caught.value)
    assert not save.exists()


@pytest.mark.parametrize(
    "changes, message",
    [
        (
            {"te_splits": ["test-clean"]},
            "has no split test-clean; it has: dev, test, train-a, train-b",
        ),
        (
            {"tr_splits": [], "dev_splits": [], "te_splits": []},
            "No split is named; choose .*: dev, test, train-a, train-b",
        ),
        (
            {"merge_name": "dev.csv"},
            "would replace that of the split dev; choose another merge_name",
        ),
        (
            {"merge_name": "train-a.csv"},
            "would replace that of the split train-a",
        ),
    ],
)
def test_bad_splits_are_refused(data, save, changes, message):
    with pytest.raises(DataError, match=message):
        run(data, save, **changes)
    assert not save.exists()


def test_a_missing_data_folder_is_named(tmp_path, save):
    with pytest.raises(DataError, match="/nowhere does not exist; give"):
        run(tmp_path / "nowhere", save)
    assert not save.exists()


def test_an_empty_data_folder_is_named(tmp_path, save):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="/empty is empty; it must hold"):
        run(tmp_path / "empty", save)
    assert not save.exists()


def test_a_save_folder_that_cannot_be_written_is_named(data, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(DataError, match="Cannot write the csv files to .*file"):
        run(data, tmp_path / "file" / "save")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_failed_preparation_keeps_the_old_files(data, save):
    run(data, save)
    before = {path.name: path.read_bytes() for path in save.iterdir()}
    cut_flac(data)
    with pytest.raises(DataError):
        run(data, save)
    assert before == {path.name: path.read_bytes() for path in save.iterdir()}

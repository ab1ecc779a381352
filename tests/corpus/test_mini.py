"""The embedded corpus.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import json
import subprocess
import sys

import numpy as np
import pytest
import soundfile

pytest.importorskip("espeakng_loader")

from speechbrain_neuronprune.corpus import mini  # noqa: E402
from speechbrain_neuronprune.corpus.grammar import vocabulary  # noqa: E402
from speechbrain_neuronprune.errors import DataError  # noqa: E402

SPLITS = ["train-clean", "dev-clean", "test-clean"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpora") / "mini"
    return mini.make_mini_corpus(folder, small=True)


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def transcripts(folder):
    lines = [
        line.split(" ", 1)
        for path in sorted(folder.rglob("*.trans.txt"))
        for line in path.read_text().splitlines()
    ]
    return dict(lines)


def test_the_layout_is_that_of_librispeech(corpus):
    audio = sorted(corpus.glob("*/*/*/*.flac"))
    assert len(audio) == 4 * 6 + 2 * 3 + 2 * 3
    for path in audio:
        speaker, chapter = path.parts[-3:-1]
        assert path.stem.startswith(f"{speaker}-{chapter}-")
    for split in SPLITS:
        names = {path.stem for path in (corpus / split).rglob("*.flac")}
        assert set(transcripts(corpus / split)) == names


def test_speakers_are_disjoint(corpus):
    speakers = [{p.name for p in (corpus / s).iterdir()} for s in SPLITS]
    assert [len(names) for names in speakers] == [4, 2, 2]
    assert len(set.union(*speakers)) == 8


def test_the_speakers_file_names_every_voice(corpus):
    lines = (corpus / "SPEAKERS.TXT").read_text().splitlines()
    rows = [line.split(" | ") for line in lines[1:]]
    assert len({tuple(row[2:4]) for row in rows}) == len(rows) == 8
    for number, split, *_ in rows:
        assert (corpus / split / number).is_dir()


def test_no_sentence_is_said_twice_and_every_word_is_known(corpus):
    texts = list(transcripts(corpus).values())
    assert len(set(texts)) == len(texts)
    words = set(" ".join(texts).lower().split())
    assert words <= set(vocabulary())


def test_speech_is_heard_and_not_clipped(corpus):
    for path in corpus.rglob("*.flac"):
        samples, rate = soundfile.read(path)
        level = 20 * np.log10(samples.std())
        assert rate == 16_000
        assert samples.ndim == 1
        assert 0.8 < len(samples) / rate < 5
        assert -40 < level < -20
        assert np.abs(samples).max() < 0.99


def test_two_processes_write_the_same_bytes(corpus, tmp_path):
    folder = tmp_path / "again"
    command = [sys.executable, "-m", mini.__name__, folder, "--small"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert contents(folder) == contents(corpus)


def test_another_seed_gives_another_corpus(corpus, tmp_path):
    other = mini.make_mini_corpus(tmp_path / "other", small=True, seed=1)
    assert set(transcripts(other).values()) != set(transcripts(corpus).values())


def test_a_finished_corpus_is_found(corpus, monkeypatch):
    monkeypatch.setattr(mini, "synthesize", None)
    (corpus / "notes.txt").write_text("other files do no harm")
    assert mini.make_mini_corpus(corpus, small=True) == corpus
    (corpus / "notes.txt").unlink()


@pytest.mark.parametrize("name", ["manifest.json", "SPEAKERS.TXT"])
@pytest.mark.parametrize("content", [None, b"", b"[1]", b"{}", b"\xff"])
def test_a_damaged_corpus_is_not_trusted(corpus, tmp_path, name, content):
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in ("manifest.json", "SPEAKERS.TXT"):
        (copy / path).write_bytes((corpus / path).read_bytes())
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["files"] = {
        "SPEAKERS.TXT": manifest["files"]["SPEAKERS.TXT"],
    }
    (copy / "manifest.json").write_text(json.dumps(manifest))
    assert mini.make_mini_corpus(copy, small=True) == copy
    if content is None:
        (copy / name).unlink()
    else:
        (copy / name).write_bytes(content)
    with pytest.raises(DataError, match="holds other files"):
        mini.make_mini_corpus(copy, small=True)


def test_another_request_does_not_replace_a_corpus(corpus):
    before = contents(corpus)
    with pytest.raises(DataError, match="delete it first"):
        mini.make_mini_corpus(corpus, small=True, seed=1)
    assert contents(corpus) == before


def test_a_failure_half_way_leaves_nothing(tmp_path, monkeypatch):
    def fail(lines):
        yield np.random.RandomState(0).uniform(-0.1, 0.1, 16_000)
        raise DataError("The eSpeak NG process failed: killed")

    monkeypatch.setattr(mini, "synthesize", fail)
    with pytest.raises(DataError, match="killed"):
        mini.make_mini_corpus(tmp_path / "mini", small=True)
    assert list(tmp_path.iterdir()) == []


def test_the_full_plan_teaches_every_word():
    readings = mini.plan_readings(mini.FULL, np.random.RandomState(0))
    sentences = {split: [] for split in SPLITS}
    for reading in readings:
        sentences[reading.split] += reading.sentences
    assert [len(sentences[split]) for split in SPLITS] == [1440, 120, 180]
    assert len({reading.speaker.number for reading in readings}) == 80
    for texts in sentences.values():
        assert set(" ".join(texts).split()) == set(vocabulary())
    everything = sum(sentences.values(), [])
    assert len(set(everything)) == len(everything)


def test_the_command_line_prints_a_summary(corpus, capsys):
    assert mini.main([str(corpus), "--small"]) == 0
    output = capsys.readouterr().out
    assert str(corpus) in output
    assert "24 utterances" in output


def test_the_command_line_prints_one_sentence_of_error(tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    assert mini.main([str(tmp_path / "file" / "mini"), "--small"]) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.count("\n") == 1
    assert "file" in output.err

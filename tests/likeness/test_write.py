"""Splits of labelled speech that sounds like a domain.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import json
import shutil

import numpy as np
import pytest
import soundfile

from speechbrain_neuronprune.corpus.splits import find_speech, transcripts
from speechbrain_neuronprune.errors import DataError
from speechbrain_neuronprune.likeness import sound, write
from speechbrain_neuronprune.likeness.reverberation import Reverberation
from speechbrain_neuronprune.likeness.write import main, write_alike
from tests.likeness.sounds import write_split


@pytest.fixture(autouse=True)
def few_trials(monkeypatch):
    monkeypatch.setattr(sound, "TRIED", (Reverberation(0.2, 6.0),))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    write_split(folder / "home", snr=45)
    new = write_split(folder / "new", snr=5)
    for path in new.rglob("*.trans.txt"):
        path.unlink()  # never read
    return folder


@pytest.fixture(scope="module")
def written(corpus):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sound, "TRIED", (None,))
        patch.setattr(sound, "COMPARED", 2)
        return write_alike(corpus / "home", corpus / "new", corpus / "alike")


def read(split):
    return {path.stem: soundfile.read(path)[0] for path in find_speech(split)}


def words(split):
    return {name: text for _, name, text in transcripts(split)}


def test_names_and_transcripts(corpus, written):
    """Chapters 1 and 12 become 101, 102, 1201 and 1202."""
    home, alike = words(corpus / "home"), words(written)
    assert len(alike) == 2 * len(home)
    assert not alike.keys() & home.keys()
    assert alike.keys() == read(written).keys()
    for name, text in alike.items():
        speaker, chapter, number = name.split("-")
        assert home[f"{speaker}-{chapter[:-2]}-{number}"] == text
        path = written / speaker / chapter / f"{name}.flac"
        assert soundfile.info(path).samplerate == 16_000


def test_lengths_stay_and_samples_do_not(corpus, written):
    home, alike = read(corpus / "home"), read(written)
    for number in ("0000", "0002"):
        first, second, source = (
            split[f"7-{chapter}-{number}"]
            for split, chapter in ((alike, 101), (alike, 102), (home, 1))
        )
        assert len(first) == len(second) == len(source)
        assert not np.array_equal(first, second)
        assert not np.array_equal(first, source)


def test_the_manifest_tells_what_was_found(written):
    manifest = json.loads((written / "manifest.json").read_text())
    assert (manifest["copies"], manifest["seed"]) == (2, 0)
    assert manifest["utterances"] == 12
    found = manifest["sound"]
    assert found["noisy"] and found["rt60"] is None
    assert found["distance_after"] < found["distance_before"]
    assert len(manifest["files"]) == 12 + 4
    assert str(written.parent) not in json.dumps(manifest)


def test_a_finished_split_is_found(corpus, written, monkeypatch):
    monkeypatch.setattr(write, "estimate_sound", None)  # would raise
    again = write_alike(str(corpus / "home"), str(corpus / "new"), str(written))
    assert again == written


@pytest.mark.parametrize("change", [{"seed": 1}, {"copies": 1}])
def test_another_request_does_not_replace_it(corpus, written, change):
    with pytest.raises(DataError, match="delete it first"):
        write_alike(corpus / "home", corpus / "new", written, **change)
    assert len(read(written)) == 12


def test_what_happens_follows_from_the_name(corpus, tmp_path, monkeypatch):
    """Not from the other utterances, once the sound is known."""
    everything = write_alike(corpus / "home", corpus / "new", tmp_path / "all")
    known = sound.estimate_sound(
        find_speech(corpus / "home"), find_speech(corpus / "new")
    )
    monkeypatch.setattr(write, "estimate_sound", lambda *_: known)
    shutil.copytree(corpus / "home/7/12", tmp_path / "home/7/12")
    few = write_alike(tmp_path / "home", corpus / "new", tmp_path / "few")
    some, every = read(few), read(everything)
    assert len(some) == 6
    for name in some:
        assert np.array_equal(some[name], every[name])


def test_only_labelled_speech_is_copied(corpus, tmp_path):
    shutil.copytree(corpus / "home", tmp_path / "home")
    path = tmp_path / "home/7/1/7-1.trans.txt"
    path.write_text("7-1-0001 GO ON\n7-1-0009 NOT THERE\n")
    (tmp_path / "home/7/12/7-12.trans.txt").unlink()
    new = tmp_path / "alike"
    write_alike(tmp_path / "home", corpus / "new", new, copies=1)
    assert words(new) == {"7-11-0001": "GO ON"}
    assert list(read(new)) == ["7-11-0001"]


# -------------------------------------------------------------------- errors


def test_no_transcripts_are_refused(corpus, tmp_path):
    with pytest.raises(DataError, match="No utterance of .* has a transcript"):
        write_alike(corpus / "new", corpus / "home", tmp_path / "alike")


def test_no_audio_is_refused(corpus, tmp_path):
    (tmp_path / "empty").mkdir()
    for pair in (("empty", "home"), ("home", "empty")):
        home, new = (
            tmp_path / one if one == "empty" else corpus / one for one in pair
        )
        with pytest.raises(DataError, match="empty holds no .flac or .wav"):
            write_alike(home, new, tmp_path / "alike")


@pytest.mark.parametrize("source", ["home", "new"])
def test_an_output_in_a_source_is_refused(corpus, source):
    with pytest.raises(DataError, match="name a folder elsewhere"):
        write_alike(
            corpus / "home", corpus / "new", corpus / source / "7/alike"
        )


def test_no_copies_are_refused(corpus, tmp_path):
    with pytest.raises(DataError, match="cannot be 0 copies"):
        write_alike(
            corpus / "home", corpus / "new", tmp_path / "alike", copies=0
        )


def test_a_damaged_file_is_named_and_nothing_is_left(corpus, tmp_path):
    shutil.copytree(corpus / "home", tmp_path / "home")
    (tmp_path / "home/7/12/7-12-0001.flac").write_bytes(b"not a flac")
    with pytest.raises(DataError, match=r"7-12-0001\.flac cannot be decoded"):
        write_alike(tmp_path / "home", corpus / "new", tmp_path / "alike")
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


# -------------------------------------------------------------- command line


def test_the_command_line_says_what_was_found(corpus, written, capsys):
    splits = [str(corpus / one) for one in ("home", "new", "alike")]
    assert main([*splits, "--copies", "2", "--seed", "0"]) == 0
    output = capsys.readouterr().out
    assert str(written) in output
    assert "12 utterances, 0.3 min" in output
    assert "  no reverberation" in output


def test_the_command_line_prints_one_sentence_of_error(corpus, capsys):
    words = [str(corpus / one) for one in ("nowhere", "new", "copies")]
    assert main(words) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.count("\n") == 1

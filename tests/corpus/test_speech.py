"""Reading splits: what is found, in which batches, and what is refused.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import shutil

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st
from speechbrain.dataio.preprocess import AudioNormalizer

from speechbrain_neuronprune.corpus.speech import (
    Speech,
    Utterance,
    load_audio,
    read_speech,
)
from speechbrain_neuronprune.errors import DataError
from tests.tiny_recogniser import write_corpus


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """A corpus folder with the splits train, dev and reverb."""
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture
def own(corpus, tmp_path):
    """A copy of the split dev that may be damaged; its data folder."""
    shutil.copytree(corpus / "dev", tmp_path / "dev")
    return tmp_path


def chapter(own):
    return own / "dev" / "1" / "1"


def test_utterances_come_by_length_with_their_words(corpus):
    speech = read_speech(corpus, "dev")
    assert len(speech.utterances) == 5
    seconds = [one.seconds for one in speech.utterances]
    assert seconds == sorted(seconds)
    assert speech.seconds == pytest.approx(sum(seconds))
    texts = {one.name: " ".join(one.words) for one in speech.utterances}
    assert texts["1-1-0000"] == "GO"
    assert texts["2-1-0002"] == "GO LEFT STOP"


def test_batches_hold_the_samples_and_no_more_than_asked(corpus):
    speech = read_speech(corpus, "dev")
    batches = list(speech.batches(AudioNormalizer(), seconds=1.0))
    read = [one for batch in batches for one in batch.utterances]
    assert read == list(speech.utterances)
    assert len(batches) > 1
    for batch in batches:
        rows, samples = batch.wavs.shape
        assert rows == 1 or rows * samples <= 16000
        for one, wav, length in zip(
            batch.utterances, batch.wavs, batch.lengths, strict=True
        ):
            size = round(float(length) * samples)
            expected, _ = soundfile.read(one.path, dtype="float32")
            assert np.array_equal(wav[:size].numpy(), expected)
            assert not wav[size:].any()


def test_other_rates_and_channels_are_converted(own):
    wave = np.random.default_rng(0).standard_normal((4000, 2)) / 9
    path = chapter(own) / "1-1-0000.flac"
    soundfile.write(path, wave, 8000)
    speech = read_speech(own, "dev")
    wavs = {
        one.name: wav[: round(float(length) * len(wav))]
        for batch in speech.batches(AudioNormalizer())
        for one, wav, length in zip(
            batch.utterances, batch.wavs, batch.lengths, strict=True
        )
    }
    assert len(wavs["1-1-0000"]) == 8000
    assert speech.utterances[0].rate in (8000, 16000)


def test_wavs_are_read_as_well(own):
    path = chapter(own) / "1-1-0000.flac"
    samples, rate = soundfile.read(path, dtype="float32")
    path.unlink()
    soundfile.write(path.with_suffix(".wav"), samples, rate, "PCM_16")
    [one] = [
        one
        for one in read_speech(own, "dev").utterances
        if one.name == "1-1-0000"
    ]
    read, read_rate = load_audio(one.path)
    assert torch.equal(read, torch.from_numpy(samples))
    assert read_rate == rate


@given(seconds=st.floats(0, 60), seed=st.integers(0, 99))
def test_a_sample_is_just_long_enough(seconds, seed):
    utterances = tuple(
        Utterance(f"u{n:02d}", None, ("A",), 1000 * (n + 1), 1000)
        for n in range(9)
    )
    speech = Speech("train", utterances)
    drawn = speech.sample(seconds, seed)
    assert drawn.utterances
    assert set(drawn.utterances) <= set(utterances)
    assert list(drawn.utterances) == sorted(
        drawn.utterances, key=lambda one: one.samples
    )
    assert drawn.seconds >= min(seconds, speech.seconds)
    longest = max(one.seconds for one in drawn.utterances)
    assert drawn.seconds - longest <= seconds
    assert drawn == speech.sample(seconds, seed)


def test_the_digest_depends_on_words_and_files(own):
    before = read_speech(own, "dev").digest()
    assert read_speech(own, "dev").digest() == before
    texts = chapter(own) / "1-1.trans.txt"
    texts.write_text(texts.read_text().replace("GO", "NO"))
    changed = read_speech(own, "dev").digest()
    assert changed != before
    soundfile.write(chapter(own) / "1-1-0000.flac", np.zeros(4000), 16000)
    assert read_speech(own, "dev").digest() not in (before, changed)


# ------------------------------------------------------------------ bad input


def test_a_folder_that_does_not_exist(tmp_path):
    with pytest.raises(DataError, match="data folder .*none does not exist"):
        read_speech(tmp_path / "none", "dev")


def test_a_split_that_does_not_exist(corpus):
    with pytest.raises(DataError, match="no split test; it has: dev, reverb"):
        read_speech(corpus, "test")


def test_a_split_without_speech(tmp_path):
    (tmp_path / "dev").mkdir()
    with pytest.raises(DataError, match="holds no .flac or .wav files"):
        read_speech(tmp_path, "dev")


def test_a_missing_transcript(own):
    texts = chapter(own) / "1-1.trans.txt"
    texts.write_text("1-1-0001 STOP LEFT\n1-1-0000\n")
    with pytest.raises(DataError, match="1-1-0000.flac has no transcript; add"):
        read_speech(own, "dev")


def test_transcripts_that_are_no_text(own):
    (chapter(own) / "1-1.trans.txt").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(DataError, match="1-1.trans.txt cannot be read"):
        read_speech(own, "dev")


@pytest.mark.parametrize("content", [b"", b"fLaC and nothing else"])
def test_audio_that_cannot_be_decoded(own, content):
    (chapter(own) / "1-1-0000.flac").write_bytes(content)
    with pytest.raises(DataError, match="1-1-0000.flac cannot be decoded"):
        read_speech(own, "dev")


def test_audio_without_samples(own):
    (chapter(own) / "1-1-0000.flac").unlink()
    soundfile.write(chapter(own) / "1-1-0000.wav", np.zeros(0), 16000)
    with pytest.raises(DataError, match="1-1-0000.wav has only 0 samples"):
        read_speech(own, "dev")


def test_audio_that_ends_early(own):
    path = chapter(own) / "1-1-0000.flac"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    speech = read_speech(own, "dev")  # the header is whole
    with pytest.raises(
        DataError, match="1-1-0000.flac (is empty or trunc|cannot be)"
    ):
        list(speech.batches(AudioNormalizer()))

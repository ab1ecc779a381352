"""Streaming: chunk by chunk as at once, and compact as masked.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import copy

import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from speechbrain.decoders import ctc_greedy_decode
from speechbrain.inference.ASR import StreamingASR
from speechbrain.utils.dynamic_chunk_training import DynChunkTrainConfig

from speechbrain_neuronprune import apply_masks
from speechbrain_neuronprune.deploy import streaming_directory
from speechbrain_neuronprune.deploy.interfaces import STREAMING_ASR
from speechbrain_neuronprune.deploy.streaming import (
    CTCStreamingContext,
    ctc_greedy_decode_streaming,
)
from speechbrain_neuronprune.deploy.transcribe import load_model
from speechbrain_neuronprune.errors import DataError, ExportError
from tests.deploy.test_directory import Run
from tests.tiny_recogniser import write_recogniser

CHUNKS = DynChunkTrainConfig(4, 2)


@given(
    best=st.lists(st.integers(0, 2), min_size=1, max_size=30),
    size=st.integers(1, 7),
    blank=st.integers(0, 2),
)
@settings(max_examples=50)
def test_chunks_give_what_the_whole_gives(best, size, blank):
    log_probs = torch.eye(3)[torch.tensor([best, best[::-1]])]
    expected = ctc_greedy_decode(log_probs, torch.ones(2), blank)
    context, found = CTCStreamingContext(), [[], []]
    for chunk in log_probs.split(size, dim=1):
        new = ctc_greedy_decode_streaming(chunk, context, blank)
        found = [old + one for old, one in zip(found, new, strict=True)]
    assert found == expected


def test_an_empty_chunk_changes_nothing():
    context = CTCStreamingContext([2])
    empty = torch.zeros(1, 0, 3)
    assert ctc_greedy_decode_streaming(empty, context, 0) == [[]]
    assert context.last == [2]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    torch.manual_seed(1)
    return Run(tmp_path_factory.mktemp("run"), kernel_size=5)


@pytest.fixture(scope="module")
def asr(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("streaming") / "model"
    run.write(folder, run.plan(), STREAMING_ASR)
    return load_model(folder, interface=StreamingASR)


def encode(asr, wav):
    """The log-posteriors of all chunks, one after the other."""
    context = asr.make_streaming_context(CHUNKS)
    size = asr.get_chunk_size_frames(CHUNKS)
    chunks = [asr.encode_chunk(context, one) for one in wav.split(size, 1)]
    return torch.cat(chunks, dim=1)


def test_compact_chunks_are_those_of_the_masked_model(run, asr):
    wav = 0.1 * torch.randn(1, 5 * asr.get_chunk_size_frames(CHUNKS))
    found = encode(asr, wav)
    compact = asr.mods.enc.transformer
    asr.mods.enc.transformer = apply_masks(
        copy.deepcopy(run.dense), run.plan()
    ).eval()
    try:
        expected = encode(asr, wav)
    finally:
        asr.mods.enc.transformer = compact
    assert found.shape[1] == 20
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_files_are_transcribed_chunk_by_chunk(asr, tmp_path):
    wav = 0.1 * torch.randn(1, 4 * asr.get_chunk_size_frames(CHUNKS))
    context = asr.make_streaming_context(CHUNKS)
    size = asr.get_chunk_size_frames(CHUNKS)
    words, tokens = "", []
    for chunk in wav.split(size, dim=1):
        encoded = asr.encode_chunk(context, chunk)
        [new], [ids] = asr.decode_chunk(context, encoded)
        words, tokens = words + new, tokens + ids
    blank = 0
    expected = ctc_greedy_decode(encode(asr, wav), torch.ones(1), blank)
    assert tokens == expected[0]
    assert words == asr.hparams.tokenizer.decode_ids(tokens)


def test_a_file_is_transcribed_as_the_card_says(asr, tmp_path):
    path = tmp_path / "speech.wav"
    soundfile.write(path, 0.1 * torch.randn(9000).numpy(), 16000)
    pieces = asr.transcribe_file_streaming(
        str(path), CHUNKS, use_torchaudio_streaming=False
    )
    size = asr.get_chunk_size_frames(CHUNKS)
    pieces = list(pieces)
    assert len(pieces) > 9000 // size  # what is in the filters comes out
    assert set("".join(pieces).split()) <= {"GO", "STOP"}


def test_its_modules_are_in_evaluation_mode(asr):
    assert not any(module.training for module in asr.mods.modules())
    assert not asr.hparams.normalize.training


def test_a_directory_becomes_a_streaming_one(run, asr, tmp_path):
    run.write(tmp_path / "model", run.plan())
    found = streaming_directory(tmp_path / "model", tmp_path / "streaming")
    other = load_model(found, interface=StreamingASR)
    wav = 0.1 * torch.randn(1, 3 * asr.get_chunk_size_frames(CHUNKS))
    assert torch.equal(encode(other, wav), encode(asr, wav))
    card = (found / "README.md").read_text()
    assert "StreamingASR.from_hparams" in card
    assert "EncoderASR" not in card


def test_what_cannot_stream_is_an_error(tmp_path):
    model = write_recogniser(tmp_path / "run")
    with pytest.raises(ExportError, match="needs a TransformerASR"):
        streaming_directory(model, tmp_path / "streaming")
    assert not (tmp_path / "streaming").exists()


def test_a_directory_for_another_interface(run, tmp_path):
    run.write(tmp_path / "model", run.plan(), STREAMING_ASR)
    with pytest.raises(DataError, match="another interface than EncoderASR"):
        load_model(tmp_path / "model")

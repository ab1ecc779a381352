"""The Brain that decodes: labels, from views that agree or from one.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import pytest
import torch

from speechbrain_neuronprune.brains.decoding import DecodingASR
from speechbrain_neuronprune.deploy.transcribe import load_model
from speechbrain_neuronprune.errors import TrainingError
from speechbrain_neuronprune.training.dataio import speech_dataset
from tests.tiny_recogniser import write_recogniser


@pytest.fixture(scope="module")
def recogniser(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recogniser") / "run"
    return load_model(str(write_recogniser(folder)))


def speech():
    """Noise."""
    waves = {str(n): torch.randn(8000 + 500 * n) for n in range(4)}
    rows = {name: {"wav": name, "duration": 0.5, "wrd": ""} for name in waves}
    return speech_dataset(rows, waves.__getitem__)


class Louder(torch.nn.Module):
    """An augmentation that can be recognised, and perhaps repeats."""

    def __init__(self, copies=1):
        super().__init__()
        self.copies = copies
        self.calls = 0

    def forward(self, wavs, lengths):
        self.calls += 1
        return (
            torch.cat([2.0 * wavs] * self.copies),
            torch.cat([lengths] * self.copies),
        )


def brain_that_labels(recogniser, **hparams):
    hparams = {"blank_index": 0, **hparams}
    return DecodingASR(recogniser, hparams)


def test_nobody_is_told_that_a_frozen_model_does_not_learn(recogniser, caplog):
    brain_that_labels(recogniser)
    assert "trainable" not in caplog.text


def test_without_views_nothing_is_augmented(recogniser):
    augment = Louder()
    brain = brain_that_labels(recogniser, wav_augment=augment)
    labels = brain.label(speech(), batch_size=2)
    assert augment.calls == 0
    assert set(labels) == set("0123")


def test_views_of_an_augmentation_that_does_nothing_agree(recogniser):
    data = speech()
    plain = brain_that_labels(recogniser).label(data, batch_size=2)
    brain = brain_that_labels(recogniser, wav_augment=lambda *speech: speech)
    agreed = brain.label(data, views=2, batch_size=2)
    for name, label in agreed.items():
        assert label.tokens == plain[name].tokens
        assert label.confidence == (0.0 if label.tokens else -float("inf"))


def test_every_view_is_augmented_in_evaluation(recogniser):
    augment = Louder()
    brain = brain_that_labels(recogniser, wav_augment=augment)
    brain.label(speech(), views=3, batch_size=2)
    assert augment.calls == 3 * 2
    assert not brain.modules.training


def test_an_augmentation_that_repeats_is_refused(recogniser):
    brain = brain_that_labels(recogniser, wav_augment=Louder(copies=2))
    with pytest.raises(TrainingError, match="4 utterances of 2"):
        brain.label(speech(), views=1, batch_size=2)


def test_views_without_an_augmentation_are_refused(recogniser):
    with pytest.raises(TrainingError, match="views=2, but neither"):
        brain_that_labels(recogniser).label(speech(), views=2, batch_size=2)

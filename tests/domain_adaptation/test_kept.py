"""What a run has finished is read again, and holds no pickled code.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from dataclasses import replace

import pytest
import torch

from speechbrain_neuronprune.domain_adaptation import DomainAdaptation
from speechbrain_neuronprune.domain_adaptation.kept import (
    kept_figures,
    kept_neurons,
)
from speechbrain_neuronprune.hyper_hypo import select_hyper_hypo
from speechbrain_neuronprune.training.dataio import speech_key
from tests.tiny_adaptation import measured_rows

PARTS = ("hypo", "hyper", "medium")


def never():
    raise AssertionError("what is kept was made again")


def test_neurons_are_kept_as_plain_tensors(tmp_path):
    path = tmp_path / "selection.pt"
    scores = {name: torch.rand(50) for name in ("second", "first")}
    chosen = select_hyper_hypo(scores)
    kept_neurons(path, lambda: chosen)
    assert list(torch.load(path, weights_only=True)["first"]) == list(PARTS)
    again = kept_neurons(path, never)
    assert list(again) == ["second", "first"]  # in their order
    for name, one in chosen.items():
        for part in PARTS:
            assert getattr(again[name], part).equal(getattr(one, part))


def test_whole_layers_are_kept(tmp_path):
    """As the control ``layers`` chooses them."""
    path = tmp_path / "selection.pt"
    kept_neurons(path, lambda: {"fc": torch.ones(5, dtype=torch.bool)})
    [(name, chosen)] = kept_neurons(path, never).items()
    assert name == "fc" and chosen.tolist() == [True] * 5


def test_figures_are_measured_once(tmp_path):
    path = tmp_path / "before/6 (c0ffee).json"
    figures = {"wer": 100 / 3, "utterances": {"a": [1, 3]}}
    assert kept_figures(path, lambda: figures) == figures
    assert kept_figures(path, never) == figures


@pytest.fixture
def measured(adaptation):
    """Make an adaptation that measures on one utterance."""

    def make(folder):
        one = adaptation(folder)
        tests = {"target/dev": measured_rows("0")}
        one.speech = replace(one.speech, tests=tests)
        return one

    return make


def test_nothing_that_a_run_reads_again_is_pickled(measured, monkeypatch):
    one = measured("run")
    results = one.run()
    for path in (*one.folder.rglob("*.pt"), *one.folder.rglob("best.ckpt")):
        torch.load(path, weights_only=True)
    monkeypatch.setattr(DomainAdaptation, "neurons", never)
    again = measured("run")
    assert again.run() == results


def test_objects_that_an_older_run_pickled_are_not_read(measured):
    expected = measured("new").run()
    one = measured("old")
    [rows] = one.speech.tests.values()
    (one.folder / "before").mkdir()
    torch.save(one.neurons(), one.folder / "neurons.pt")
    torch.save({"wer": -1.0}, one.folder / f"before/{speech_key(rows)}.pt")
    assert one.run() == expected
    kept = one.folder / "selection.pt"
    assert list(torch.load(kept, weights_only=True)) == list(one.neurons())

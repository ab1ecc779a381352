"""What a stage learns from: pseudo-labels that are drawn once, and replay.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import numpy as np
import torch

from speechbrain_neuronprune.adaptation.pseudo_labels import PseudoLabel
from speechbrain_neuronprune.adaptation.stages import Stage
from speechbrain_neuronprune.domain_adaptation import DomainSpeech
from speechbrain_neuronprune.domain_adaptation.lesson import pseudo_labelled
from tests.tiny_adaptation import labelled_rows


def test_what_labels_draw_depends_on_seed_and_round_only(adaptation):
    def draw():
        return {name: PseudoLabel([1], torch.rand(()).item()) for name in "01"}

    def drawn(folder, number, **changes):
        one = adaptation(folder, **changes)
        path = one.folder / f"round{number}/labels.json"
        pseudo_labelled(path, draw, one.speech.target, one.hparams)
        return path.read_text()

    first = drawn("first", 1)
    torch.manual_seed(5)
    assert drawn("again", 1) == first
    assert drawn("again", 2) != first
    assert drawn("other", 1, seed=5) != first


def replayed(one, share):
    return list(one.lesson(Stage("all", 0.1, 1, replay=share), {}))


def test_home_alone_is_replayed_as_it_always_was(adaptation):
    one = adaptation()
    one.speech = DomainSpeech({}, home=labelled_rows(20, "home"))
    rng = np.random.default_rng(one.hparams["seed"])
    expected = rng.permutation(sorted(one.speech.home))[:10]
    assert replayed(one, 0.5) == [f"home/{name}" for name in expected]
    assert replayed(one, 0.0) == []


def test_a_share_is_drawn_from_home_and_replayed_together(adaptation):
    """Names that both have are two utterances."""
    one = adaptation()
    one.speech = DomainSpeech(
        {}, home=labelled_rows(20, "home"), replayed=labelled_rows(20, "alike")
    )
    assert len(replayed(one, 1.0)) == 40
    half = replayed(one, 0.5)
    assert len(half) == 20
    assert {name.split("/")[0] for name in half} == {"home", "replayed"}
    labelled = one.speech.labelled()
    assert labelled["replayed/03"]["wav"] == "alike3"
    assert labelled["home/03"]["wav"] == "home3"

"""Stages and choices: what learns, and what is refused.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import pytest
import torch
from torch import nn

from speechbrain_neuronprune.adaptation.stages import (
    CHOICES,
    Stage,
    choose_neurons,
)
from speechbrain_neuronprune.errors import SelectionError

SCORES = {"0": torch.arange(50.0), "2": torch.arange(50.0).flip(0)}


@pytest.fixture
def model():
    layers = [nn.Linear(4, 50), nn.Sigmoid(), nn.Linear(50, 50), nn.Sigmoid()]
    return nn.Sequential(*layers, nn.Linear(50, 3)).requires_grad_(False)


@pytest.mark.parametrize(
    ("update", "learned"),
    [
        ("neurons", 6 * (4 + 1) + 6 * (50 + 1)),
        ("scaling", 100),
        ("all", 4 * 50 + 50 + 50 * 50 + 50 + 50 * 3 + 3),
    ],
)
def test_a_stage_lets_learn_what_it_says(model, update, learned):
    neurons = choose_neurons("hyper_hypo", SCORES)
    handle = Stage(update, lr=0.1, epochs=1).begin(model, neurons, False)
    found = [p for p in model.parameters() if p.requires_grad]
    assert sum(p.numel() for p in found) == learned
    assert {id(p) for p in found} == {id(p) for p in handle.parameters()}
    handle.finish()
    assert not any(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("choice", CHOICES)
def test_controls_have_the_size_of_the_choice(choice):
    chosen = choose_neurons(choice, SCORES, hypo=0.08, hyper=0.04, seed=3)
    sizes = {"hypo": 4, "hyper": 2, "layers": 50}
    for selection in chosen.values():
        units = getattr(selection, "chosen", selection)
        assert units.sum() == sizes.get(choice, 6)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"update": "some"}, "A stage has no update 'some'; use one of neur"),
        ({"loss": "l2"}, "A stage has no loss 'l2'; use one of ctc, entropy"),
        ({"lr": 0}, "A stage cannot have lr=0, epochs=1 and replay=0.0"),
        ({"replay": 2}, "replay=2; give positive numbers, and a share"),
        ({"speed": 2}, "A stage has no entry 'speed'; use update, lr"),
        ({"lr": "fast"}, "A stage cannot have lr='fast'; give a number"),
        ({"epochs": 1.5}, "cannot have epochs=1.5; give a whole number"),
        ({"replay": None}, "cannot have replay=None; give a number"),
    ],
)
def test_what_a_stage_cannot_be(content, message):
    with pytest.raises(SelectionError, match=message):
        Stage.read({"update": "all", "lr": 0.1, "epochs": 1} | content)


@pytest.mark.parametrize("name", ["update", "lr", "epochs"])
def test_what_a_stage_lacks_is_named(name):
    content = {"update": "all", "lr": 0.1, "epochs": 1}
    del content[name]
    with pytest.raises(SelectionError, match=f"has no {name}; add it"):
        Stage.read(content)


def test_an_unknown_choice_is_refused():
    with pytest.raises(SelectionError, match="no choice 'loud' of neurons"):
        choose_neurons("loud", SCORES)

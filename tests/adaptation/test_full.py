"""Updating everything: learns everywhere, and can be undone.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import copy
import gc

import pytest
import torch
from torch import nn

from speechbrain_neuronprune.adaptation.full import FullUpdate
from speechbrain_neuronprune.adaptation.selective import selective_update
from speechbrain_neuronprune.errors import SelectionError


@pytest.fixture
def model():
    return nn.Sequential(
        nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)
    ).requires_grad_(False)


def learn(model, update):
    optimiser = torch.optim.SGD(update.parameters(), lr=0.1)
    model(torch.randn(8, 3)).square().mean().backward()
    optimiser.step()


def same(one, other):
    return all(
        one.state_dict()[name].equal(value)
        for name, value in other.state_dict().items()
    )


def test_undo_puts_the_start_back(model):
    start = copy.deepcopy(model)
    update = FullUpdate(model)
    learn(model, update)
    assert not same(model, start)
    assert same(update.undo(), start)
    assert not any(p.requires_grad for p in model.parameters())


def test_a_state_is_a_copy_and_comes_back(model):
    update = FullUpdate(model)
    learn(model, update)
    learned, kept = update.state_dict(), copy.deepcopy(model)
    learn(model, update)
    assert not same(model, kept)
    update.load_state_dict(learned)
    assert same(update.finish(), kept)


def test_norms_keep_their_statistics(model):
    norm = model[1]
    norm.running_mean.normal_()
    expected = norm.running_mean.clone()
    update = FullUpdate(model)
    learn(model.train(), update)
    assert norm.running_mean.equal(expected)
    update.finish()
    assert type(norm) is nn.BatchNorm1d
    model(torch.randn(8, 3))
    assert not norm.running_mean.equal(expected)


def test_one_adaptation_at_a_time(model):
    update = FullUpdate(model)
    for begin in (FullUpdate, choose_some):
        with pytest.raises(SelectionError, match="already being adapted"):
            begin(model)
    assert all(p.requires_grad for p in model.parameters())
    update.finish()
    selective = choose_some(model)
    with pytest.raises(SelectionError, match="already being adapted"):
        FullUpdate(model)
    selective.undo()


def choose_some(model):
    return selective_update(model, {"0": torch.arange(4) < 2})


def test_one_that_nobody_holds_is_not_waited_for():
    model = nn.Linear(2, 2)
    FullUpdate(model)
    gc.collect()
    FullUpdate(model).undo()

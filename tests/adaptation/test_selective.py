"""Only the chosen neurons learn, and nothing else moves by a single bit.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import copy
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import nn

from speechbrain_neuronprune import (
    RetentionSchedule,
    attach_adaptive_dropout,
    find_units,
)
from speechbrain_neuronprune.adaptation.selective import (
    ChosenEntries,
    selective_update,
)
from speechbrain_neuronprune.errors import SelectionError, UnitsError
from speechbrain_neuronprune.fingerprint import fingerprint
from speechbrain_neuronprune.hyper_hypo import select_hyper_hypo

OPTIMISERS = {
    "SGD": partial(
        torch.optim.SGD, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01
    ),
    "Adam": partial(torch.optim.Adam, lr=0.01, weight_decay=0.01),
    "AdamW": partial(torch.optim.AdamW, lr=0.01, weight_decay=0.1),
}
HOW = {
    "plain": {},
    "clipped": {"clip": 1e-3},
    "bfloat16": {"autocast": True},
}


def check_training(case, make, how, outgoing, snapshot, is_unchanged):
    """Train with the whole model's parameters and look at every bit."""
    before = snapshot(case.model)
    masks = case.chosen(outgoing)
    update = selective_update(case.model, case.selection, outgoing)
    case.train(make(case.model.parameters()), **how)
    update.finish()
    assert is_unchanged(case.model, before, masks)
    changed = [
        case.model.get_parameter(name)[mask] != before[name][mask]
        for name, mask in masks.items()
    ]
    assert torch.cat(changed).float().mean() > 0.95


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("name", OPTIMISERS)
@pytest.mark.parametrize("outgoing", [False, True])
def test_nothing_else_moves(chain, name, how, outgoing, snapshot, is_unchanged):
    """A batch norm and dropout in training mode are part of it."""
    check_training(
        chain,
        OPTIMISERS[name],
        {"steps": 100, **HOW[how]},
        outgoing,
        snapshot,
        is_unchanged,
    )


@pytest.mark.parametrize("outgoing", [False, True])
def test_nothing_else_moves_in_a_conformer(
    encoder, outgoing, snapshot, is_unchanged
):
    how = {"steps": 100, "clip": 0.1, "autocast": True}
    check_training(
        encoder, OPTIMISERS["AdamW"], how, outgoing, snapshot, is_unchanged
    )


def test_nothing_else_moves_in_a_gated_model(encoder, snapshot, is_unchanged):
    attach_adaptive_dropout(encoder.model, RetentionSchedule())
    how = {"steps": 3}
    check_training(
        encoder, OPTIMISERS["Adam"], how, True, snapshot, is_unchanged
    )


@pytest.mark.parametrize("outgoing", [False, True])
@pytest.mark.parametrize("whole", [False, True])
def test_the_optimiser_holds_state_for_the_chosen_entries_only(
    case, outgoing, whole
):
    expected = sum(int(mask.sum()) for mask in case.chosen(outgoing).values())
    update = selective_update(case.model, case.selection, outgoing)
    learning = (case.model if whole else update).parameters()
    optimiser = torch.optim.Adam(learning)
    case.train(optimiser, steps=1)
    state = optimiser.state.values()
    assert sum(one["exp_avg"].numel() for one in state) == expected
    assert sum(values.numel() for values in update.parameters()) == expected


def full_gradients(case):
    """Of a plain copy whose norms use their running statistics."""
    plain = copy.deepcopy(case.model)
    for module in plain.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.eval()
    torch.manual_seed(7)  # dropout
    case.loss(plain).backward()
    return {name: value.grad for name, value in plain.named_parameters()}


@pytest.mark.parametrize("outgoing", [False, True])
def test_the_gradient_is_that_part_of_the_full_gradient(case, outgoing):
    full = full_gradients(case)
    masks = case.chosen(outgoing)
    update = selective_update(case.model, case.selection, outgoing)
    torch.manual_seed(7)
    case.loss().backward()
    for name, overlay in update.overlays.items():
        # Where the gradients arrive: lay them into zeros as values.
        gradient = copy.deepcopy(overlay)
        for values, learned in zip(
            gradient.parameters(), overlay.parameters(), strict=True
        ):
            values.data = learned.grad
        got = gradient(torch.zeros_like(full[name]))
        expected = full[name] * masks[name]
        torch.testing.assert_close(got.detach(), expected)


@given(data=st.data())
def test_any_choice_of_rows_and_columns(data):
    """Against a plain loop, with every crossing learned once."""
    shape = data.draw(hnp.array_shapes(min_dims=2, max_dims=2, max_side=6))
    rows, columns = (
        torch.from_numpy(data.draw(hnp.arrays(bool, size))) for size in shape
    )
    base = torch.randn(shape)
    chosen = ChosenEntries(
        base, rows.nonzero().flatten(), columns.nonzero().flatten()
    )
    assert torch.equal(chosen(base), base)
    expected = base.clone()
    for r in range(shape[0]):
        for c in range(shape[1]):
            if rows[r] or columns[c]:
                expected[r, c] += 1.0
    with torch.no_grad():
        for values in chosen.parameters():
            values += 1.0
    assert torch.equal(chosen(base), expected)
    learned = sum(values.numel() for values in chosen.parameters())
    assert learned == (rows[:, None] | columns).sum()


def test_hyper_and_hypo_neurons_learn_by_default(chain):
    selection = select_hyper_hypo(
        {"0": torch.arange(10.0)}, hypo=0.2, hyper=0.1
    )
    update = selective_update(chain.model, selection)
    assert update.overlays["0.bias"].row_index.tolist() == [0, 1, 9]
    assert list(update.overlays) == ["0.weight", "0.bias"]


def test_a_layer_without_bias():
    model = nn.Sequential(
        nn.Linear(2, 3, bias=False), nn.Sigmoid(), nn.Linear(3, 1)
    )
    update = selective_update(model, {"0": torch.arange(3) < 1})
    assert [tuple(p.shape) for p in update.parameters()] == [(1, 2)]


def test_groups_of_which_nothing_is_chosen_are_left_alone(chain):
    selection = {
        "0": torch.zeros(10, dtype=torch.bool),
        "4": torch.arange(9) < 1,
    }
    update = selective_update(chain.model, selection)
    assert list(update.overlays) == ["4.weight", "4.bias"]


def test_units_can_be_found_meanwhile(case):
    before = find_units(case.model)
    selective_update(case.model, case.selection, outgoing=True)
    assert list(find_units(case.model)) == list(before)


def test_the_fingerprint_is_that_of_the_model_before(case):
    before = fingerprint(case.model)
    update = selective_update(case.model, case.selection, outgoing=True)
    case.train(torch.optim.SGD(update.parameters(), lr=0.5), steps=1)
    assert fingerprint(case.model) == before
    assert fingerprint(update.finish()) != before


# ----------------------------------------------------------------- errors


def test_a_group_that_is_not_there(chain):
    with pytest.raises(SelectionError, match="nowhere.*Groups here: 0, 4"):
        selective_update(chain.model, {"nowhere": torch.ones(3).bool()})


def test_a_selection_of_another_size(chain):
    with pytest.raises(SelectionError, match=r"group 0 has shape \(9,\).* 10 "):
        selective_update(chain.model, {"0": torch.ones(9).bool()})


@pytest.mark.parametrize("choice", [torch.ones(10), [True] * 10, None])
def test_a_selection_of_something_else(chain, choice):
    with pytest.raises(SelectionError, match="group 0 is not a bool tensor"):
        selective_update(chain.model, {"0": choice})


@pytest.mark.parametrize("selection", [{}, {"0": torch.zeros(10).bool()}])
def test_nothing_selected(chain, selection):
    with pytest.raises(SelectionError, match="No neuron is selected"):
        selective_update(chain.model, selection)


def test_units_that_are_no_fully_connected_neurons(encoder):
    name = "layers.0.mha_layer.query"
    with pytest.raises(UnitsError, match=f"{name} is of kind query"):
        selective_update(encoder.model, {name: torch.ones(8).bool()})


def test_an_error_leaves_the_model_alone(chain):
    with pytest.raises(SelectionError):
        selective_update(chain.model, {**chain.selection, "9": None})
    assert all(p.requires_grad for p in chain.model.parameters())
    assert type(chain.model[0]) is nn.Linear

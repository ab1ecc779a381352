"""A fingerprint changes with every bit that a model has, and nothing else.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import copy

import pytest
import torch
from torch import nn

from speechbrain_neuronprune import PruningPlan, apply_masks, find_units
from speechbrain_neuronprune.adaptation.fingerprint import digest, fingerprint
from speechbrain_neuronprune.adaptation.selective import selective_update


def test_a_copy_has_the_same(case):
    assert fingerprint(copy.deepcopy(case.model)) == fingerprint(case.model)


def test_every_parameter_and_buffer_counts(chain):
    seen = {fingerprint(chain.model)}
    for value in chain.model.state_dict().values():
        value.view(-1)[-1] += 1
        seen.add(fingerprint(chain.model))
    assert len(seen) == 1 + len(chain.model.state_dict())


def test_masks_and_modes_make_no_difference(encoder):
    before = fingerprint(encoder.model)
    keep = {
        name: torch.arange(group.size) % 2 < 1
        for name, group in find_units(encoder.model).items()
    }
    apply_masks(encoder.model, PruningPlan(keep)).eval()
    assert fingerprint(encoder.model) == before


def test_an_adaptation_makes_no_difference(case):
    before = fingerprint(case.model)
    update = selective_update(case.model, case.selection, outgoing=True)
    case.train(torch.optim.SGD(update.parameters(), lr=0.5), steps=1)
    assert fingerprint(case.model) == before
    assert fingerprint(update.finish()) != before


@pytest.mark.parametrize(
    "other",
    [
        [("b", torch.zeros(2, 3))],
        [("a", torch.zeros(3, 2))],
        [("a", torch.zeros(2, 3, dtype=torch.int32))],
        [("a", -torch.zeros(2, 3))],
        [],
    ],
)
def test_names_shapes_dtypes_and_bits_count(other):
    assert digest([("a", torch.zeros(2, 3))]) != digest(other)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.tensor(3),
        torch.zeros(0, 4),
        torch.ones(2, dtype=torch.bfloat16),
        torch.tensor([True]),
        torch.arange(6.0).reshape(2, 3).T,
    ],
)
def test_any_tensor_has_one(tensor):
    same = digest([("x", tensor.clone().contiguous())])
    assert digest([("x", nn.Parameter(tensor, requires_grad=False))]) == same

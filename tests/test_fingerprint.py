"""A fingerprint changes with every bit that a model has, and nothing else.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import copy

import pytest
import torch
from torch import nn

from speechbrain_neuronprune import PruningPlan, apply_masks, find_units
from speechbrain_neuronprune.fingerprint import digest, fingerprint


@pytest.fixture
def chain():
    """Two fully connected layers with a batch norm."""
    layers = nn.Linear(6, 10), nn.BatchNorm1d(10), nn.Sigmoid()
    return nn.Sequential(*layers, nn.Linear(10, 4))


@pytest.fixture
def encoder(make_encoder):
    """A small Conformer encoder, in training mode."""
    return make_encoder(attention_type="RoPEMHA").train()


@pytest.mark.parametrize("name", ["chain", "encoder"])
def test_a_copy_has_the_same(name, request):
    model = request.getfixturevalue(name)
    assert fingerprint(copy.deepcopy(model)) == fingerprint(model)


def test_every_parameter_and_buffer_counts(chain):
    seen = {fingerprint(chain)}
    for value in chain.state_dict().values():
        value.view(-1)[-1] += 1
        seen.add(fingerprint(chain))
    assert len(seen) == 1 + len(chain.state_dict())


def test_masks_and_modes_make_no_difference(encoder):
    before = fingerprint(encoder)
    keep = {
        name: torch.arange(group.size) % 2 < 1
        for name, group in find_units(encoder).items()
    }
    apply_masks(encoder, PruningPlan(keep)).eval()
    assert fingerprint(encoder) == before


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

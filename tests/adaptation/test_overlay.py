"""Overlays and norms that hold still, on modules of any class.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import copy

import pytest
import torch
from torch import nn

from speechbrain_neuronprune.adaptation.overlay import (
    Overlay,
    base_of,
    hold_still,
    lay_over,
    lift,
)


class Negative(Overlay):
    """The opposite."""

    def forward(self, base):
        return -base


class Affine(nn.Linear):
    """A Linear of somebody else's making."""

    def forward(self, x):
        return x @ self.weight.T + self.bias


@pytest.mark.parametrize("kind", [nn.Linear, Affine])
def test_the_name_means_the_computed_value(kind):
    linear, x = kind(3, 2), torch.randn(4, 3)
    weight, expected = linear.weight, linear(x)
    lay_over(linear, {"weight": Negative(), "bias": Negative()})
    assert torch.equal(linear.weight, -weight)
    assert base_of(linear, "weight") is weight
    torch.testing.assert_close(linear(x), -expected)
    assert isinstance(linear, kind)
    lift(linear)
    assert type(linear) is kind and linear.weight is weight
    assert torch.equal(linear(x), expected)


def test_names_of_parameters_stay():
    linear = nn.Linear(3, 2)
    names = dict(linear.named_parameters())
    lay_over(linear, {"weight": Negative()})
    assert dict(linear.named_parameters()) == names
    assert list(linear.state_dict()) == list(names)


def test_loading_a_state_goes_under_the_overlay():
    linear, other = nn.Linear(3, 2), nn.Linear(3, 2)
    lay_over(linear, {"weight": Negative()})
    linear.load_state_dict(other.state_dict())
    assert torch.equal(linear.weight, -other.weight)


@pytest.mark.parametrize("kind", [nn.BatchNorm1d, nn.InstanceNorm1d])
def test_a_norm_held_still_is_one_in_evaluation(kind):
    norm = kind(3, track_running_stats=True)
    for _ in range(3):
        norm(torch.randn(4, 3, 5) + 1.0)
    before = copy.deepcopy(norm)
    x = torch.randn(4, 3, 5)
    hold_still(norm)
    assert torch.equal(norm(x), before.eval()(x))
    assert norm.training
    for name, value in norm.state_dict().items():
        assert torch.equal(value, before.state_dict()[name])
    lift(norm)
    assert type(norm) is kind
    norm(x)
    assert not torch.equal(norm.running_mean, before.running_mean)


def test_a_norm_that_fails_keeps_its_mode():
    norm = nn.BatchNorm1d(3)
    hold_still(norm)
    with pytest.raises(RuntimeError):
        norm(torch.randn(4, 2))
    assert norm.training


def test_other_modules_are_left_alone():
    for module in (nn.Dropout(), nn.BatchNorm1d(2, track_running_stats=False)):
        kind = type(module)
        hold_still(module)
        lift(module)
        assert type(module) is kind

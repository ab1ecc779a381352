"""Gating MLPs: what a channel owns, and where its mask acts."""

import copy

import pytest
import torch
from speechbrain.lobes.models.transformer.Branchformer import (
    ConvolutionBranch,
)
from torch import nn

from speechbrain_neuronprune import compact, find_units
from speechbrain_neuronprune.gates.adaptive_dropout import AdaptiveDropout
from speechbrain_neuronprune.gates.gate import FixedMask
from speechbrain_neuronprune.layers import get_gate, set_gate
from speechbrain_neuronprune.layers.constant import Constant
from speechbrain_neuronprune.layers.normalization import PartialLayerNorm
from speechbrain_neuronprune.plan import PruningPlan
from tests.plans import randomize

SIZE = 6
KEEP = torch.tensor([True, False, True, True, False, True])


@pytest.fixture(params=[False, True], ids=["plain", "linear"])
def branch(request):
    branch = ConvolutionBranch(
        5, 2 * SIZE, 3, use_linear_after_conv=request.param
    )
    randomize(branch)
    return nn.ModuleDict({"branch": branch}).eval()


def test_what_a_channel_owns(branch):
    group = find_units(branch)["branch"]
    assert (group.kind, group.size) == ("conv", SIZE)
    # two rows and biases, norm, kernel and its bias, output column
    plain = 2 * (5 + 1) + 2 + (3 + 1) + 5
    # a row and a column of the Linear, which cross, and its bias
    mixing = 2 * SIZE - 1 + 1
    with_linear = branch["branch"].csgu.use_linear_after_conv
    assert group.parameters_per_unit == plain + mixing * with_linear


def test_a_gate_comes_and_goes(branch):
    group = find_units(branch)["branch"]
    x = torch.randn(2, 9, 5)
    before, keys = branch["branch"](x), set(branch.state_dict())
    gate = FixedMask(KEEP)
    set_gate(branch, group, AdaptiveDropout(SIZE))
    set_gate(branch, group, gate)
    assert get_gate(branch, group) is gate
    assert not torch.allclose(branch["branch"](x), before)
    set_gate(branch, group, None)
    assert get_gate(branch, group) is None
    assert set(branch.state_dict()) == keys
    assert torch.equal(branch["branch"](x), before)


def test_utterances_have_draws_of_their_own(branch):
    group = find_units(branch)["branch"]
    set_gate(branch, group, AdaptiveDropout(SIZE))
    nn.init.constant_(get_gate(branch, group).logits, -1.0)  # beta is 0
    x = torch.randn(1, 9, 5).expand(8, -1, -1)
    out = branch.train()["branch"](x)
    assert len({tuple(one.flatten().tolist()) for one in out}) > 1


def test_the_narrow_form_has_the_sizes_it_says(branch):
    plan = PruningPlan({"branch": KEEP})
    small = compact(branch, plan)["branch"]
    kept = int(KEEP.sum())
    assert small.pre_channel_proj.out_features == 2 * kept
    assert small.post_channel_proj.in_features == kept
    assert small.csgu.conv.conv.groups == kept
    norm = small.csgu.norm.norm
    assert isinstance(norm, PartialLayerNorm) and norm.channels == SIZE
    masked = copy.deepcopy(branch)
    set_gate(masked, find_units(masked)["branch"], FixedMask(KEEP))
    x = torch.randn(2, 9, 5)
    torch.testing.assert_close(small(x), masked["branch"](x))


def test_without_channels_its_output_bias_is_left(branch):
    empty = PruningPlan({"branch": torch.zeros(SIZE).bool()})
    small = compact(branch, empty)["branch"]
    assert isinstance(small, Constant)
    bias = branch["branch"].post_channel_proj.bias
    assert torch.equal(small(torch.randn(2, 9, 5))[1, 3], bias)

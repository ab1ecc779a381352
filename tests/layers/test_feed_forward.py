"""Feed-forward surgery against an independent tool: Torch-Pruning."""

import copy

import torch
import torch_pruning
from speechbrain.nnet.attention import PositionalwiseFeedForward
from torch import nn

from speechbrain_neuronprune import PruningPlan, apply_masks, compact

KEEP = torch.arange(24) % 3 != 1


class Holder(nn.Module):
    """Gives the feed-forward module a name."""

    def __init__(self):
        super().__init__()
        self.ffn = PositionalwiseFeedForward(
            24, input_size=16, activation=nn.SiLU
        )

    def forward(self, x):
        return self.ffn(x)


def prune_with_torch_pruning(model, x):
    """Remove the same hidden units by its dependency graph."""
    graph = torch_pruning.DependencyGraph().build_dependency(model, x)
    group = graph.get_pruning_group(
        getattr(model.ffn.ffn, "0"),
        torch_pruning.prune_linear_out_channels,
        idxs=(~KEEP).nonzero().flatten().tolist(),
    )
    group.prune()
    return model


def test_torch_pruning_agrees():
    model = Holder().eval()
    plan = PruningPlan({"ffn": KEEP})
    x = torch.randn(2, 9, 16)
    theirs = prune_with_torch_pruning(copy.deepcopy(model), x)
    ours = compact(model, plan)
    for one, two in zip(theirs.parameters(), ours.parameters(), strict=True):
        assert torch.equal(one, two)
    masked = apply_masks(copy.deepcopy(model), plan)
    torch.testing.assert_close(theirs(x), ours(x))
    torch.testing.assert_close(masked(x), theirs(x))


def test_an_emptied_module_leaves_its_output_bias():
    model = Holder().eval()
    small = compact(model, PruningPlan({"ffn": torch.zeros(24).bool()}))
    expected = getattr(model.ffn.ffn, "3").bias.expand(2, 9, 16)
    torch.testing.assert_close(small(torch.randn(2, 9, 16)), expected)
    assert [p.numel() for p in small.parameters()] == [16]


def test_linear_sizes_are_those_of_the_weights():
    small = compact(Holder(), PruningPlan({"ffn": KEEP}))
    first, second = (getattr(small.ffn.ffn, key) for key in "03")
    assert first.out_features == second.in_features == int(KEEP.sum())

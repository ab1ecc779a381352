"""From scores by distance to scores by key, and the gradient back."""

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck, gradgradcheck

from speechbrain_neuronprune.layers.diagonals import (
    ByDistance,
    diagonals,
    strided_diagonals,
)

SHAPES = [(1, 1), (1, 4), (2, 2), (3, 3), (5, 3), (2, 6)]


@pytest.mark.parametrize("learns", [False, True])
@pytest.mark.parametrize("queries, keys", SHAPES)
def test_every_key_gets_the_score_of_its_distance(queries, keys, learns):
    scores = torch.randn(2, 3, queries, queries + keys - 1)
    out = diagonals(scores.requires_grad_(learns))
    assert out.shape == (2, 3, queries, keys)
    for i in range(queries):
        row = scores[..., i, queries - 1 - i : queries - 1 - i + keys]
        assert out[..., i, :].equal(row)
    assert out.untyped_storage().data_ptr() == scores.data_ptr()


@pytest.mark.parametrize("queries, keys", SHAPES)
def test_one_call_views_the_same(queries, keys):
    scores = torch.randn(2, 3 * queries, queries + keys - 1)
    expected = diagonals(scores.unflatten(1, (3, queries))).flatten(0, 1)
    assert torch.equal(strided_diagonals(scores, queries), expected)


@pytest.mark.parametrize("queries, keys", SHAPES)
def test_gradients_are_those_of_the_views(queries, keys):
    scores = torch.randn(
        2, queries, queries + keys - 1, dtype=torch.double, requires_grad=True
    )
    assert gradcheck(diagonals, scores)
    assert gradgradcheck(diagonals, scores)


@pytest.mark.parametrize("queries, keys", SHAPES[2:])
def test_the_way_back_leaves_zeros_and_nothing_else(queries, keys):
    there = ByDistance.apply(torch.ones(2, queries, keys))
    assert there.shape == (2, queries, queries + keys - 1)
    assert there.sum() == 2 * queries * keys
    assert diagonals(there).eq(1.0).all()


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_a_trace_that_learns_can_be_saved(tmp_path):
    layer = nn.Linear(5, 5)
    model = nn.Sequential(layer, Diagonals())
    traced = torch.jit.trace(model, torch.randn(1, 3, 5))
    torch.jit.save(traced, tmp_path / "traced.pt")
    x = torch.randn(2, 3, 5)
    torch.testing.assert_close(traced(x), model(x))


class Diagonals(nn.Module):
    def forward(self, x):
        return diagonals(x)


def test_function_transforms_and_tangents_go_through():
    scores, weights = torch.randn(2, 3, 5), torch.randn(2, 3, 3)

    def loss(scores):
        return (diagonals(scores) * weights).sum()

    expected = ByDistance.apply(weights)
    torch.testing.assert_close(torch.func.grad(loss)(scores), expected)
    tangent = torch.randn_like(scores)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(
            scores.requires_grad_(), tangent
        )
        out = torch.autograd.forward_ad.unpack_dual(diagonals(dual))
    torch.testing.assert_close(out.tangent, diagonals(tangent))

"""Queries in turns, beside all at once."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from speechbrain.nnet.attention import RelPosEncXL, RelPosMHAXL

from speechbrain_neuronprune.layers import turns
from speechbrain_neuronprune.layers.attention_masks import Masks
from speechbrain_neuronprune.layers.relative import RelPosUnitAttention
from speechbrain_neuronprune.layers.turns import Sides, attend_in_turns

MASKS = {
    "nothing": lambda *_: [],
    "numbers": lambda heads, batch, length: [
        torch.randn(heads, batch, length, length),
        torch.randn(1, 1, 1, length),
    ],
    "padding": lambda heads, batch, length: [
        (torch.rand(1, batch, 1, length) < 0.3)
    ],
    # Some queries see nothing
    "chunks": lambda heads, batch, length: [
        (torch.rand(1, 1, length, length) < 0.6)
    ],
}


@torch.no_grad()
@settings(max_examples=40)
@given(
    heads=st.integers(1, 3),
    batch=st.integers(1, 3),
    length=st.integers(1, 20),
    widths=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    block=st.integers(1, 12),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
    masked=st.sampled_from(list(MASKS)),
)
def test_turns_equal_all_at_once(
    heads, batch, length, widths, block, dtype, masked
):
    width, value_width = widths
    queries = torch.randn(2, batch, length, heads, width, dtype=dtype)
    sides = Sides(
        *queries.permute(0, 3, 1, 2, 4),
        torch.randn(heads * batch, length, width, dtype=dtype),
        torch.randn(heads * batch, length, value_width, dtype=dtype),
        torch.randn(heads, 2 * length - 1, width, dtype=dtype),
        Masks.of(MASKS[masked](heads, batch, length)),
    )
    layer = RelPosUnitAttention.adopt(RelPosMHAXL(8, 2).eval())
    context, weights = layer._attend_at_once(sides)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(turns, "BLOCK", block)
        ours = attend_in_turns(sides, layer.scale, weighted=True)
        alone, none = attend_in_turns(sides, layer.scale, weighted=False)
    near = {"atol": 1e-5, "rtol": 1e-4}
    if dtype == torch.bfloat16:
        near = {"atol": 0.1, "rtol": 0.1}
    torch.testing.assert_close(ours[0], context, **near)
    torch.testing.assert_close(ours[1], weights, **near)
    torch.testing.assert_close(alone, ours[0])
    assert none is None
    assert ours[1].dtype == torch.float32


@torch.no_grad()
def test_turns_may_be_in_mixed_precision():
    layer = RelPosUnitAttention.adopt(RelPosMHAXL(8, 2).eval())
    x = torch.randn(2, 11, 8)
    given = {"pos_embs": RelPosEncXL(8)(x)}
    exact, _ = layer(x, x, x, **given)
    with torch.autocast("cpu", torch.bfloat16):
        mixed, weights = layer(x, x, x, **given)
    assert mixed.dtype == torch.bfloat16
    assert weights.dtype == torch.float32
    torch.testing.assert_close(mixed.float(), exact, atol=0.05, rtol=0.1)


@torch.no_grad()
def test_results_are_not_overwritten_by_the_next_utterance():
    layer = RelPosUnitAttention.adopt(RelPosMHAXL(8, 2).eval())
    x = torch.randn(1, 9, 8)
    given = {"pos_embs": RelPosEncXL(8)(x)}
    results = layer(x, x, x, **given)
    before = [one.clone() for one in results]
    other = torch.randn(1, 9, 8)
    layer(other, other, other, **given)
    for one, then in zip(results, before, strict=True):
        assert torch.equal(one, then)

"""Scores by distance and by key, and queries in blocks."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from speechbrain.nnet.attention import RelPosEncXL, RelPosMHAXL
from torch.autograd import forward_ad

from speechbrain_neuronprune.layers import relative
from speechbrain_neuronprune.layers.diagonals import diagonals
from speechbrain_neuronprune.layers.relative import RelPosUnitAttention


@pytest.mark.parametrize("length", [1, 2, 3, 17])
@pytest.mark.parametrize("mask_future", [False, True])
def test_the_diagonals_are_the_stock_shift(length, mask_future):
    stock = RelPosMHAXL(8, 2, mask_pos_future=mask_future)
    scores = torch.randn(2, 4, length, 2 * length - 1, requires_grad=True)
    torch.testing.assert_close(
        diagonals(scores), stock.rel_shift(scores), rtol=0, atol=0
    )


@settings(max_examples=20)
@given(
    length=st.integers(1, 30),
    block=st.integers(1, 12),
    strip=st.integers(1, 12),
    masked=st.sampled_from(["nothing", "flags", "numbers"]),
)
def test_blocks_and_strips_equal_the_whole(length, block, strip, masked):
    stock = RelPosMHAXL(8, 2).eval()
    x = torch.randn(3, length, 8)
    given = {"pos_embs": RelPosEncXL(8)(x)}
    if masked != "nothing":
        lengths = torch.tensor([length, length // 2, 0])  # one is all padding
        given["key_padding_mask"] = (
            torch.arange(length)[None] >= lengths[:, None]
        )
        given["attn_mask"] = torch.rand(length, length)
    if masked == "flags":
        given["attn_mask"] = given["attn_mask"] < 0.3
    ours = RelPosUnitAttention.adopt(stock)
    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        patch.setattr(relative, "BLOCK", block)
        patch.setattr(relative, "STRIP", strip)
        torch.testing.assert_close(
            ours(x, x, x, **given),
            stock(x, x, x, **given),
            atol=1e-5,
            rtol=1e-5,
            equal_nan=True,
        )
        alone = ours(x, x, x, **given, return_attn_weights=False)
    assert alone.shape == x.shape


@torch.no_grad()
def test_weights_of_blocks_are_after_dropout(monkeypatch):
    monkeypatch.setattr(relative, "BLOCK", 4)
    ours = RelPosUnitAttention.adopt(RelPosMHAXL(8, 2, dropout=0.5).eval())
    ours.dropout_att.train()  # Monte Carlo dropout
    x = torch.randn(1, 12, 8)
    _, weights = ours(x, x, x, pos_embs=RelPosEncXL(8)(x))
    assert (weights == 0).any()


def test_hooks_on_the_projection_of_positions_are_called():
    ours = RelPosUnitAttention.adopt(RelPosMHAXL(8, 2).eval())
    x, seen = torch.randn(1, 5, 8), []
    ours.linear_pos.register_forward_hook(lambda *_: seen.append(1))
    with torch.no_grad():
        for _ in range(3):
            ours(x, x, x, pos_embs=RelPosEncXL(8)(x))
    assert len(seen) == 3


@torch.no_grad()
@pytest.mark.parametrize("own", [False, True])
def test_whatever_stands_for_the_dropout_is_called(own):
    ours, seen = RelPosUnitAttention.adopt(RelPosMHAXL(8, 2).eval()), []
    if own:
        ours.dropout_att = torch.nn.Identity().eval()
        ours.dropout_att.forward = lambda x: seen.append(x.shape) or x * 2.0
    else:
        ours.dropout_att.register_forward_hook(
            lambda _module, _given, x: seen.append(x.shape) or x * 2.0
        )
    x = torch.randn(3, 5, 8)
    _, weights = ours(x, x, x, pos_embs=RelPosEncXL(8)(x))
    assert seen == [(2, 3, 5, 5)]
    torch.testing.assert_close(weights.sum(-1), torch.full((3, 2, 5), 2.0))


@torch.no_grad()
@pytest.mark.parametrize("batch, length", [(0, 5), (0, 300), (1, 300)])
def test_forward_derivatives_and_empty_batches(batch, length):
    ours = RelPosUnitAttention.adopt(RelPosMHAXL(8, 2).eval())
    x = torch.randn(batch, length, 8)
    positions = RelPosEncXL(8)(torch.randn(1, length, 8))
    expected, _ = ours(x, x, x, pos_embs=positions)
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(x, torch.ones_like(x))
        out, _ = ours(dual, dual, dual, pos_embs=positions)
        primal, tangent = forward_ad.unpack_dual(out)
    torch.testing.assert_close(primal, expected)
    assert tangent.shape == x.shape


@torch.no_grad()
def test_weights_that_took_the_place_of_scores_are_kept():
    ours = RelPosUnitAttention.adopt(RelPosMHAXL(8, 2).eval())
    first, second = torch.randn(2, 1, 5, 8)
    positions = RelPosEncXL(8)(first)
    _, kept = ours(first, first, first, pos_embs=positions)
    before = kept.clone()
    ours(second, second, second, pos_embs=positions)
    assert torch.equal(kept, before)


@torch.no_grad()
@pytest.mark.parametrize("block", [4, 256])
def test_mixed_precision(monkeypatch, block):
    monkeypatch.setattr(relative, "BLOCK", block)
    monkeypatch.setattr(relative, "STRIP", 4)
    layer = RelPosUnitAttention.adopt(RelPosMHAXL(8, 2).eval())
    x = torch.randn(2, 11, 8)
    given = {"pos_embs": RelPosEncXL(8)(x)}
    exact, _ = layer(x, x, x, **given)
    with torch.autocast("cpu", torch.bfloat16):
        mixed, weights = layer(x, x, x, **given)
    assert mixed.dtype == torch.bfloat16
    assert weights.dtype == torch.float32
    torch.testing.assert_close(mixed.float(), exact, atol=0.05, rtol=0.1)

"""Attention: masks, errors and the forms that the encoder tests pass by."""

import copy

import pytest
import torch
from speechbrain.nnet.attention import (
    MultiheadAttention,
    RelPosEncXL,
    RelPosMHAXL,
    RoPEMHA,
)

from speechbrain_neuronprune.errors import UnitsError
from speechbrain_neuronprune.gates.gate import FixedMask
from speechbrain_neuronprune.layers.attention import AttentionForm
from speechbrain_neuronprune.units import groups_of

WIDTH, HEADS, LENGTH = 16, 4, 11


def build(kind, **arguments):
    if kind is MultiheadAttention:
        return kind(HEADS, WIDTH, **arguments).eval()
    return kind(WIDTH, HEADS, **arguments).eval()


def run(layer, x, **arguments):
    if isinstance(layer, RelPosMHAXL):
        arguments["pos_embs"] = RelPosEncXL(WIDTH)(x)
    with torch.no_grad():
        return layer(x, x, x, **arguments)[0]


def ours(stock):
    """The stock layer in our form, all units open."""
    return AttentionForm.set_gate(copy.deepcopy(stock), "query", None)


@pytest.mark.parametrize("kind", [RelPosMHAXL, RoPEMHA, MultiheadAttention])
@pytest.mark.parametrize("masked", ["nothing", "future", "padding", "both"])
def test_equals_stock(kind, masked):
    stock = build(kind)
    x = torch.randn(3, LENGTH, WIDTH)
    arguments = {}
    if masked in ("future", "both"):
        arguments["attn_mask"] = torch.ones(LENGTH, LENGTH).triu(1).bool()
    if masked in ("padding", "both"):
        lengths = torch.tensor([LENGTH, 6, 1])
        arguments["key_padding_mask"] = (
            torch.arange(LENGTH)[None] >= lengths[:, None]
        )
    torch.testing.assert_close(
        run(ours(stock), x, **arguments), run(stock, x, **arguments)
    )


@pytest.mark.parametrize("length", [1, 2, 3, 17])
@pytest.mark.parametrize("mask_future", [False, True])
def test_the_shift_by_a_view_is_the_stock_one(length, mask_future):
    stock = build(RelPosMHAXL, mask_pos_future=mask_future)
    scores = torch.randn(2, HEADS, length, 2 * length - 1, requires_grad=True)
    torch.testing.assert_close(
        ours(stock).rel_shift(scores), stock.rel_shift(scores), rtol=0, atol=0
    )


@pytest.mark.parametrize("kind", [RelPosMHAXL, MultiheadAttention])
def test_float_masks_add_to_the_scores(kind):
    stock = build(kind)
    x = torch.randn(2, LENGTH, WIDTH)
    mask = torch.randn(LENGTH, LENGTH)
    torch.testing.assert_close(
        run(ours(stock), x, attn_mask=mask.clone()),
        run(stock, x, attn_mask=mask.clone()),
    )


@pytest.mark.parametrize("kind", [RelPosMHAXL, RoPEMHA])
def test_value_biases_are_units_property(kind):
    stock = build(kind, vbias=True)
    torch.nn.init.normal_(stock.value_bias_weight)
    x = torch.randn(2, LENGTH, WIDTH)
    torch.testing.assert_close(run(ours(stock), x), run(stock, x))


def test_masks_per_head_follow_the_surviving_heads():
    """A mask given for four heads still fits after one has gone."""
    stock = build(RelPosMHAXL)
    x = torch.randn(2, LENGTH, WIDTH)
    mask = torch.rand(2 * HEADS, LENGTH, LENGTH) < 0.3
    keep = {
        "query": torch.ones(WIDTH).bool(),
        "value": torch.arange(WIDTH) // 4 != 1,
    }
    masked = copy.deepcopy(stock)
    for site, units in keep.items():
        masked = AttentionForm.set_gate(masked, site, FixedMask(units))
    small = AttentionForm.narrow(
        copy.deepcopy(stock), groups_of("mha_layer", stock), keep
    )
    assert small.heads == [0, 2, 3]
    torch.testing.assert_close(
        run(small, x, attn_mask=mask), run(masked, x, attn_mask=mask)
    )


def test_weights_are_returned_as_stock_does():
    stock = build(RelPosMHAXL)
    x = torch.randn(2, LENGTH, WIDTH)
    positions = RelPosEncXL(WIDTH)(x)
    one = stock(x, x, x, positions)[1]
    torch.testing.assert_close(ours(stock)(x, x, x, positions)[1], one)
    alone = ours(stock)(x, x, x, positions, return_attn_weights=False)
    assert torch.is_tensor(alone)


def test_cross_attention_is_refused():
    layer = ours(build(RelPosMHAXL))
    x, y = torch.randn(2, 1, LENGTH, WIDTH)
    with pytest.raises(UnitsError, match="only self-attention"):
        layer(x, y, y, RelPosEncXL(WIDTH)(x))


@pytest.mark.parametrize(
    "extra", [{"add_bias_kv": True}, {"add_zero_attn": True}, {"vdim": 8}]
)
def test_extra_keys_are_refused(extra):
    with pytest.raises(UnitsError, match="add_bias_kv"):
        ours(build(MultiheadAttention, **extra))


@pytest.mark.parametrize("kind", [RelPosMHAXL, RoPEMHA])
def test_other_value_widths_are_refused(kind):
    with pytest.raises(UnitsError, match="vdim=8"):
        ours(build(kind, vdim=8))

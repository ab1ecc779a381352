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
from speechbrain_neuronprune.gates.adaptive_dropout import AdaptiveDropout
from speechbrain_neuronprune.gates.gate import FixedMask
from speechbrain_neuronprune.layers.attention import AttentionForm
from speechbrain_neuronprune.layers.constant import ConstantAttention
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


def ours(stock, cross=False):
    """The stock layer in our form, all units open."""
    query, _ = groups_of("", stock, cross)
    return AttentionForm.set_gate(copy.deepcopy(stock), query, None)


def masked_and_compact(stock, keep, cross=False):
    """The two forms of a layer that shall equal each other."""
    groups = groups_of("", stock, cross)
    masked = copy.deepcopy(stock)
    for group in groups:
        gate = FixedMask(keep[group.site])
        masked = AttentionForm.set_gate(masked, group, gate)
    return masked, AttentionForm.narrow(copy.deepcopy(stock), groups, keep)


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
    masked, small = masked_and_compact(stock, keep)
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


def between(layer, x, y, **arguments):
    """Cross-attention of x to y."""
    if isinstance(layer, RelPosMHAXL):
        arguments["pos_embs"] = RelPosEncXL(WIDTH)(y)
    with torch.no_grad():
        return layer(x, y, y, **arguments)


@pytest.mark.parametrize("kind", [RelPosMHAXL, MultiheadAttention])
@pytest.mark.parametrize("length", [1, 4, LENGTH, 17])
@pytest.mark.parametrize("masked", [False, True])
def test_cross_attention_equals_stock(kind, length, masked):
    """RelPosMHAXL reads other rows here than in self-attention."""
    stock = build(kind)
    x, y = torch.randn(2, length, WIDTH), torch.randn(2, LENGTH, WIDTH)
    arguments = {}
    if masked:
        padding = torch.arange(LENGTH)[None] >= torch.tensor([[LENGTH], [5]])
        arguments["key_padding_mask"] = padding
        arguments["attn_mask"] = torch.randn(length, LENGTH)
    torch.testing.assert_close(
        between(ours(stock, cross=True), x, y, **arguments),
        between(stock, x, y, **arguments),
    )


def test_keys_and_values_may_differ():
    stock = build(MultiheadAttention)
    x, y, z = torch.randn(3, 2, LENGTH, WIDTH)
    with torch.no_grad():
        torch.testing.assert_close(ours(stock)(x, y, z), stock(x, y, z))


@pytest.mark.parametrize("cross", [False, True])
def test_the_wrong_role_is_refused(cross):
    """The rows of a RelPosMHAXL mean something else in the other role."""
    layer = ours(build(RelPosMHAXL), cross)
    x, y = torch.randn(2, 1, LENGTH, WIDTH)
    role = "cross-attention" if cross else "self-attention"
    with pytest.raises(UnitsError, match=f"only {role}"):
        between(layer, x, x.clone() if cross else y)


@pytest.mark.parametrize("gone", [1, 2, HEADS])
def test_mean_weights_are_over_the_heads_that_stay(gone):
    """What a decoder returns is the same before and after compaction."""
    stock = build(MultiheadAttention)
    keep = {
        "query": torch.rand(WIDTH) < 0.5,
        "value": torch.arange(WIDTH) >= gone * WIDTH // HEADS,
    }
    x, y = torch.randn(2, 3, WIDTH), torch.randn(2, LENGTH, WIDTH)
    masked, small = masked_and_compact(stock, keep, cross=True)
    out, weights = between(masked, x, y)
    assert weights.shape == (2, 3, LENGTH)
    torch.testing.assert_close(between(small, x, y), (out, weights))
    total = weights.sum(-1)
    expected = float(gone < HEADS)
    torch.testing.assert_close(total, torch.full_like(total, expected))


@pytest.mark.parametrize("kind", [RelPosMHAXL, MultiheadAttention])
def test_gates_of_cross_attention_have_gradients(kind):
    """Both logits hear from the loss, each utterance with its own draw."""
    layer = build(kind)
    gates = {}
    for group in groups_of("", layer, cross=True):
        gates[group.site] = AdaptiveDropout(WIDTH)
        layer = AttentionForm.set_gate(layer, group, gates[group.site])
    layer.train()
    x, y = torch.randn(3, 5, WIDTH), torch.randn(3, LENGTH, WIDTH)
    positions = RelPosEncXL(WIDTH)(y)
    layer(x, y, y, pos_embs=positions if kind is RelPosMHAXL else None)[
        0
    ].square().sum().backward()
    for gate in gates.values():
        assert gate.logits.grad.isfinite().all()
        assert (gate.logits.grad != 0).all()


def test_an_emptied_attention_returns_what_stock_does():
    layer = ConstantAttention(torch.ones(WIDTH), WIDTH)
    x, y = torch.randn(2, 3, WIDTH), torch.randn(2, LENGTH, WIDTH)
    out, weights = layer(query=x, key=y, value=y, attn_mask=None)
    assert torch.equal(out, torch.ones_like(x))
    assert torch.equal(weights, torch.zeros(2, 3, LENGTH))
    assert layer(x, y, y, return_attn_weights=False).shape == x.shape


@pytest.mark.parametrize("kind", [RelPosMHAXL, RoPEMHA, MultiheadAttention])
def test_equal_copies_are_self_attention(kind):
    """SpeechBrain compares what is in them."""
    stock = build(kind)
    x = torch.randn(2, LENGTH, WIDTH)
    copies, arguments = (x, x.clone(), x.clone()), {}
    if kind is RelPosMHAXL:
        arguments["pos_embs"] = RelPosEncXL(WIDTH)(x)
    with torch.no_grad():
        torch.testing.assert_close(
            ours(stock)(*copies, **arguments)[0], stock(*copies, **arguments)[0]
        )


@pytest.mark.parametrize("kind", [RelPosMHAXL, RoPEMHA, MultiheadAttention])
def test_a_layer_that_was_compiled_is_masked(kind):
    stock, x = build(kind), torch.randn(2, LENGTH, WIDTH)
    keep = dict.fromkeys(("query", "value"), torch.arange(WIDTH) % 3 > 0)
    if kind is RoPEMHA:
        keep["query"] = torch.arange(WIDTH // 2) % 3 > 0
    plain, small = masked_and_compact(stock, keep)
    stock.compile(backend="eager")
    run(stock, x)
    compiled = stock
    for group in groups_of("", stock, False):
        gate = FixedMask(keep[group.site])
        compiled = AttentionForm.set_gate(compiled, group, gate)
    torch.testing.assert_close(run(compiled, x), run(plain, x))
    torch.testing.assert_close(run(compiled, x), run(small, x))


@pytest.mark.parametrize("kind", [RelPosMHAXL, RoPEMHA, MultiheadAttention])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64])
def test_padding_may_be_told_in_integers(kind, dtype):
    stock, x = build(kind), torch.randn(2, LENGTH, WIDTH)
    padding = torch.arange(LENGTH)[None] >= torch.tensor([[LENGTH], [4]])
    expected = run(stock, x, key_padding_mask=padding)
    found = run(ours(stock), x, key_padding_mask=padding.to(dtype))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_projections_of_positions_may_have_a_bias():
    stock, x = build(RelPosMHAXL), torch.randn(2, LENGTH, WIDTH)
    stock.linear_pos = torch.nn.Linear(WIDTH, WIDTH)
    query, value = groups_of("", stock, False)
    keep = {
        "query": torch.arange(WIDTH) % 2 < 1,
        "value": torch.ones(WIDTH, dtype=torch.bool),
    }
    masked = ours(stock)
    masked = AttentionForm.set_gate(masked, query, FixedMask(keep["query"]))
    small = AttentionForm.narrow(copy.deepcopy(stock), [query, value], keep)
    assert small.linear_pos.bias.shape == (WIDTH // 2,)
    torch.testing.assert_close(run(small, x), run(masked, x))
    with torch.no_grad():  # what is remembered notices
        small.linear_pos.bias += 1.0
        masked.linear_pos.bias += 1.0
    torch.testing.assert_close(run(small, x), run(masked, x))

"""Heads filled up with zeros compute the same."""

import copy

import pytest
import torch
from speechbrain.lobes.models.transformer.Conformer import ConformerEncoder
from speechbrain.nnet.attention import (
    MultiheadAttention,
    RelPosMHAXL,
    RoPEMHA,
)

from speechbrain_neuronprune import (
    PruningPlan,
    apply_masks,
    compact,
    find_units,
)
from speechbrain_neuronprune.errors import UnitsError
from speechbrain_neuronprune.layers.level_heads import (
    level_heads,
)
from tests.layers.test_attention import (
    HEADS,
    LENGTH,
    WIDTH,
    between,
    build,
    masked_and_compact,
    run,
)

KINDS = [RelPosMHAXL, RoPEMHA, MultiheadAttention]


def some_units(kind, chance=0.5):
    """Heads of unlike widths; the first keeps all its values, the second
    loses them."""
    query = WIDTH // 2 if kind is RoPEMHA else WIDTH
    value = torch.rand(HEADS, WIDTH // HEADS) < chance
    value[0], value[1] = True, False
    return {"query": torch.rand(query) < chance, "value": value.flatten()}


def ragged(kind, cross=False, **arguments):
    stock = build(kind, **arguments)
    for entry in stock.parameters():
        torch.nn.init.normal_(entry)
    return masked_and_compact(stock, some_units(kind), cross)[1]


@pytest.mark.parametrize("kind", KINDS)
def test_levelled_computes_the_same(kind):
    small = ragged(kind)
    x = torch.randn(3, LENGTH, WIDTH)
    levelled = level_heads(copy.deepcopy(small))
    assert len(set(levelled.query_rows)) == len(set(levelled.value_rows)) == 1
    assert levelled._even and not levelled.turns_sums
    torch.testing.assert_close(run(levelled, x), run(small, x))


@pytest.mark.parametrize("kind", [RelPosMHAXL, RoPEMHA])
def test_biases_of_values_are_filled_up(kind):
    small = ragged(kind, vbias=True)
    x = torch.randn(2, LENGTH, WIDTH)
    expected = run(small, x)
    torch.testing.assert_close(run(level_heads(small), x), expected)


@pytest.mark.parametrize("kind", [RelPosMHAXL, MultiheadAttention])
def test_cross_attention(kind):
    small = ragged(kind, cross=True)
    x, y = torch.randn(2, 3, LENGTH, WIDTH)
    expected = between(small, x, y)
    torch.testing.assert_close(between(level_heads(small), x, y), expected)


@pytest.mark.parametrize("kind", [RelPosMHAXL, RoPEMHA])
@pytest.mark.parametrize("mask", ["attn_mask", "key_padding_mask"])
def test_masks(mask, kind):
    small = ragged(kind)
    x = torch.randn(2, LENGTH, WIDTH)
    shape = (LENGTH if mask == "attn_mask" else 2, LENGTH)
    hidden = {mask: torch.rand(shape) < 0.3}
    expected = run(small, x, **hidden)
    torch.testing.assert_close(run(level_heads(small), x, **hidden), expected)


def test_parameters_keep_their_names():
    small = ragged(RoPEMHA)
    names = set(small.state_dict())
    count = sum(one.numel() for one in small.parameters())
    assert set(level_heads(small).state_dict()) == names
    assert sum(one.numel() for one in small.parameters()) > count


def test_even_heads_stay_as_they_are():
    stock = build(RelPosMHAXL)
    keep = torch.ones(WIDTH).bool()
    _, layer = masked_and_compact(stock, {"query": keep, "value": keep})
    assert level_heads(layer) is layer
    levelled = level_heads(ragged(RelPosMHAXL))
    state = {k: v.clone() for k, v in levelled.state_dict().items()}
    again = level_heads(levelled).state_dict()
    assert again.keys() == state.keys()
    assert all(torch.equal(again[name], state[name]) for name in state)


def test_gates_come_off_first():
    encoder = ConformerEncoder(1, 16, 32, 2, kernel_size=3)
    widths = {name: [4, 8] for name in find_units(encoder, ["query"])}
    apply_masks(encoder, PruningPlan.from_widths(encoder, widths))
    with pytest.raises(UnitsError, match=r"layers\.0\.mha_layer .* compact"):
        level_heads(encoder)


def test_whole_encoders():
    encoder = ConformerEncoder(2, 16, 32, 4, kernel_size=3).eval()
    plan = PruningPlan(
        {
            name: torch.rand(group.size) < 0.5
            for name, group in find_units(encoder).items()
        }
    )
    small = compact(encoder, plan)
    given = {"src": torch.randn(2, 7, 16), "pos_embs": torch.randn(1, 13, 16)}
    with torch.no_grad():
        expected = small(**given)[0]
        torch.testing.assert_close(level_heads(small)(**given)[0], expected)

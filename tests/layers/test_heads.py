"""Packing and unpacking ragged heads."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from speechbrain_neuronprune.layers.heads import (
    HeadPacking,
    product_width,
    weighted_sums,
)

widths = st.lists(st.integers(0, 6), min_size=1, max_size=5)


@given(widths, st.integers(1, 9))
def test_pack_inverts_padding(widths, at_least):
    heads = HeadPacking(widths, at_least)
    packed = torch.randn(2, 3, sum(widths))
    padded = heads(packed)
    assert padded.shape == (2, 3, len(widths), max(at_least, *widths, 1))
    assert torch.equal(heads.pack(padded.flatten(-2)), packed)


@given(widths)
def test_padding_is_zero(widths):
    padded = HeadPacking(widths)(torch.ones(sum(widths)))
    assert padded.sum(-1).tolist() == [float(width) for width in widths]


def test_even_heads_are_a_view():
    packed = torch.randn(2, 6)
    padded = HeadPacking([3, 3])(packed)
    assert padded.data_ptr() == packed.data_ptr()


@given(st.lists(st.integers(1, 70), min_size=1, max_size=5))
def test_values_are_padded_to_what_fills_registers(widths):
    width = product_width(widths)
    assert max(16, *widths) <= width < max(16, *widths) + 8
    assert width % 4 == 0


@given(st.integers(0, 6), st.integers(1, 4))
def test_even_heads_may_be_padded(width, count):
    packed = torch.randn(2, width * count)
    padded = HeadPacking([width] * count, at_least=8)(packed)
    assert torch.equal(padded[..., :width].flatten(-2), packed)
    assert not padded[..., width:].any()


@given(st.integers(0, 40), st.integers(1, 5), st.integers(1, 5))
def test_sums_equal_the_product(width, queries, keys):
    weights = torch.randn(3, queries, keys)
    values = torch.randn(3, keys, width)
    sums = weighted_sums(weights, values)
    assert sums.shape == (3, queries, width)
    torch.testing.assert_close(sums, weights @ values)

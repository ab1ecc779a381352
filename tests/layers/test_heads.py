"""Packing and unpacking ragged heads."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from speechbrain_neuronprune.layers.heads import HeadPacking

widths = st.lists(st.integers(0, 6), min_size=1, max_size=5)


@given(widths)
def test_pack_inverts_padding(widths):
    heads = HeadPacking(widths)
    packed = torch.randn(2, 3, sum(widths))
    padded = heads(packed)
    assert padded.shape == (2, 3, len(widths), max(1, *widths, 1))
    assert torch.equal(heads.pack(padded.flatten(-2)), packed)


@given(widths)
def test_padding_is_zero(widths):
    padded = HeadPacking(widths)(torch.ones(sum(widths)))
    assert padded.sum(-1).tolist() == [float(width) for width in widths]


def test_even_heads_are_a_view():
    packed = torch.randn(2, 6)
    padded = HeadPacking([3, 3])(packed)
    assert padded.data_ptr() == packed.data_ptr()

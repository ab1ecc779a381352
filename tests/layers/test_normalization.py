"""PartialLayerNorm against torch's LayerNorm on the zero-filled vector."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from speechbrain_neuronprune.layers.normalization import PartialLayerNorm


@given(st.integers(1, 40), st.integers(0, 40), st.integers(0, 10**6))
def test_equals_layer_norm_over_all_channels(kept, removed, seed):
    torch.manual_seed(seed)
    channels = kept + removed
    full = nn.LayerNorm(channels)
    nn.init.normal_(full.weight)
    nn.init.normal_(full.bias)
    index = torch.randperm(channels)[:kept].sort().values
    part = PartialLayerNorm(full.weight[index], full.bias[index], channels)
    x = torch.zeros(3, 5, channels)
    x[..., index] = torch.randn(3, 5, kept) * 3 + 10
    # ten standard deviations off centre: cancellation would show
    torch.testing.assert_close(
        part(x[..., index]), full(x)[..., index], rtol=1e-4, atol=1e-5
    )


def test_keeps_the_dtype():
    norm = nn.LayerNorm(4)
    part = PartialLayerNorm(norm.weight[:3], norm.bias[:3], 4).bfloat16()
    out = part(torch.randn(2, 3, dtype=torch.bfloat16))
    assert out.dtype == torch.bfloat16

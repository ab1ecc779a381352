"""Int8: products close to those in float, whatever the shape.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import copy
import io

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from speechbrain_neuronprune.deploy.int8 import Int8Weight, is_int8
from speechbrain_neuronprune.errors import ExportError


def in_int8(layer):
    layer = copy.deepcopy(layer)
    weight = layer.weight
    del layer.weight
    layer.weight = Int8Weight.of(weight)
    return layer


@given(
    inputs=st.integers(1, 40),
    outputs=st.integers(1, 40),
    frames=st.integers(1, 9),
    bias=st.booleans(),
    seed=st.integers(0, 99),
)
@settings(max_examples=30)
def test_rounding_is_the_only_error(inputs, outputs, frames, bias, seed):
    torch.manual_seed(seed)
    layer = nn.Linear(inputs, outputs, bias=bias)
    x = torch.randn(2, frames, inputs)
    # Half a step of 127 levels of the activations' range, and of 254 levels
    # of each output's weights.
    step_x = (x.max().clamp(min=0) - x.min().clamp(max=0)) / 127
    step_w = layer.weight.abs().amax(1) / 127
    bound = inputs * (
        step_x * layer.weight.abs().amax(1)
        + x.abs().max() * step_w
        + step_x * step_w
    )
    difference = (in_int8(layer)(x) - layer(x)).abs()
    assert (difference <= bound / 2 + 1e-5).all()


def test_arguments_may_be_named():
    layer, x = nn.Linear(8, 4), torch.randn(3, 8)
    weight = in_int8(layer).weight
    found = F.linear(x, weight=weight, bias=layer.bias)
    assert torch.equal(found, in_int8(layer)(x))
    assert torch.equal(F.linear(x, weight, bias=layer.bias), found)


@pytest.mark.parametrize("shape", [(2, 0, 8), (0, 5, 8)])
def test_no_frames(shape):
    found = in_int8(nn.Linear(8, 4))(torch.zeros(shape))
    assert found.shape == (*shape[:-1], 4)


def test_it_can_be_made_in_inference_mode():
    with torch.inference_mode():
        layer, x = nn.Linear(8, 4), torch.randn(3, 8)
        found = in_int8(layer)(x)
        torch.testing.assert_close(found, layer(x), atol=0.1, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_it_can_be_cast(dtype):
    layer, x = in_int8(nn.Linear(8, 4)), torch.randn(3, 8)
    found = copy.deepcopy(layer).to(dtype)(x.to(dtype))
    assert found.dtype == dtype
    torch.testing.assert_close(found.float(), layer(x), atol=0.05, rtol=0)


def test_pointwise_convolutions_multiply_too():
    layer, x = nn.Conv1d(20, 6, 1), torch.randn(2, 20, 7)
    found = in_int8(layer)(x)
    torch.testing.assert_close(found, layer(x), atol=0.1, rtol=0)


def test_weights_that_are_loaded_are_those_that_multiply():
    first, second = (in_int8(nn.Linear(8, 4)) for _ in range(2))
    x = torch.randn(3, 8)
    before = first(x)
    first.load_state_dict(second.state_dict())
    assert torch.equal(first(x), second(x))
    assert not torch.equal(first(x), before)


def test_parts_multiply_like_the_whole():
    layer, x = in_int8(nn.Linear(8, 6, bias=False)), torch.randn(3, 8)
    for rows in ([1, 2, 3], [3, 3]):
        parts = [F.linear(x, part) for part in layer.weight.split(rows)]
        torch.testing.assert_close(torch.cat(parts, -1), layer(x))
    layer.load_state_dict(in_int8(nn.Linear(8, 6, bias=False)).state_dict())
    parts = [F.linear(x, part) for part in layer.weight.split([3, 3])]
    torch.testing.assert_close(torch.cat(parts, -1), layer(x))
    assert set(layer.state_dict()) == {"weight.values", "weight.scale"}


def test_it_can_be_copied_and_saved_after_use():
    layer, x, file = in_int8(nn.Linear(8, 4)), torch.randn(3, 8), io.BytesIO()
    expected = layer(x)
    assert torch.equal(copy.deepcopy(layer)(x), expected)
    torch.save(layer.state_dict(), file)
    file.seek(0)
    weights = torch.load(file, weights_only=True)
    assert weights["weight.values"].dtype == torch.int8


def test_a_row_of_zeros_stays_zero():
    layer = nn.Linear(5, 2, bias=False)
    with torch.no_grad():
        layer.weight[0] = 0.0
    assert torch.equal(in_int8(layer)(torch.randn(4, 5))[:, 0], torch.zeros(4))


def test_another_device_is_refused():
    layer = in_int8(nn.Linear(4, 4)).to("meta")
    with pytest.raises(ExportError, match="on the device meta"):
        layer(torch.empty(2, 4, device="meta"))


def test_other_uses_of_the_weight_fail():
    assert is_int8(in_int8(nn.Linear(4, 4)))
    with pytest.raises(TypeError):
        torch.matmul(torch.randn(2, 4), in_int8(nn.Linear(4, 4)).weight)

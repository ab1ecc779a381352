"""Convolutions of features: the same as SpeechBrain's, with channels last."""

import copy
import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from speechbrain.lobes.models.convolution import ConvolutionFrontEnd
from speechbrain.nnet.CNN import Conv2d
from torch import nn
from torch.nn.utils import parametrizations

from speechbrain_neuronprune import use_fast_layers
from speechbrain_neuronprune.layers.front_end import (
    FastConv2d,
    use_fast_convolution,
)

LARGE = (3, 15, 12, 4)  # batch, time, bands, channels


def fast(layer):
    layer = copy.deepcopy(layer)
    use_fast_convolution(layer)
    return layer


def same_outputs_and_gradients(stock, ours, x):
    outputs, x = [], x.double()
    for layer in (stock.double(), ours.double()):
        layer.zero_grad()
        given = x.clone().requires_grad_()
        out = layer(given)
        (out * torch.linspace(-1, 1, out.numel()).view_as(out)).sum().backward()
        gradients = [p.grad for p in layer.parameters()]
        outputs.append([out.detach(), given.grad, *gradients])
    for one, two in zip(*outputs, strict=True):
        torch.testing.assert_close(two, one)


@given(
    kernel=st.tuples(st.sampled_from([1, 3]), st.sampled_from([1, 3, 5])),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    padding=st.sampled_from(["same", "valid"]),
    mode=st.sampled_from(["reflect", "constant", "replicate"]),
    groups=st.sampled_from([1, 2, 4]),
    bias=st.booleans(),
)
def test_outputs_and_gradients_are_the_stock_ones(
    kernel, stride, dilation, padding, mode, groups, bias
):
    options = {"kernel_size": kernel, "stride": stride, "dilation": dilation}
    options |= {"padding": padding, "padding_mode": mode, "bias": bias}
    stock = Conv2d(8, input_shape=LARGE, groups=groups, **options)
    same_outputs_and_gradients(stock, fast(stock), torch.randn(LARGE))


def test_kernels_without_a_middle():
    stock = Conv2d(8, (2, 4), input_shape=LARGE, padding="valid")
    same_outputs_and_gradients(stock, fast(stock), torch.randn(LARGE))


@pytest.mark.parametrize("channels", [1, 6])
def test_features_without_channels(channels):
    stock = Conv2d(channels, (3, 5), input_shape=(2, 9, 7))
    ours = fast(stock)
    x = torch.randn(2, 9, 7)
    assert ours(x).shape == stock(x).shape
    same_outputs_and_gradients(stock, ours, x)


def test_a_front_end_keeps_its_names_and_its_output():
    stock = ConvolutionFrontEnd((None, None, 40), dropout=0.0)
    ours = use_fast_layers(copy.deepcopy(stock))
    assert sum(type(m) is FastConv2d for m in ours.modules()) == 18
    assert ours.state_dict().keys() == stock.state_dict().keys()
    ours.load_state_dict(stock.state_dict())
    same_outputs_and_gradients(stock, ours, torch.randn(2, 31, 40))


def test_nothing_is_turned():
    layer = fast(Conv2d(8, (3, 3), input_shape=LARGE, stride=(2, 2)))
    assert layer(torch.randn(LARGE)).is_contiguous()


class Louder(Conv2d):
    def forward(self, x):
        return 2.0 * super().forward(x)


def causal():
    return Conv2d(4, (3, 3), input_shape=LARGE, padding="causal")


def turned():
    return Conv2d(4, (3, 3), in_channels=4, skip_transpose=True)


def swapped():
    return Conv2d(4, (3, 3), input_shape=LARGE, swap=True)


def bounded():
    return Conv2d(4, (3, 3), input_shape=LARGE, max_norm=0.1)


def parametrized():
    layer = Conv2d(4, (3, 3), input_shape=LARGE)
    parametrizations.weight_norm(layer.conv)
    return layer


def replaced():
    layer = Conv2d(4, (3, 3), input_shape=LARGE)
    layer.conv = nn.Sequential(layer.conv, nn.ReLU())
    return layer


def watched():
    layer = Conv2d(4, (3, 3), input_shape=LARGE)
    layer.conv.register_forward_hook(lambda *seen: seen[-1] * 3.0)
    return layer


@pytest.mark.parametrize(
    "build",
    [causal, turned, swapped, bounded, parametrized, replaced, watched],
)
def test_whatever_else_it_does_it_still_does(build):
    stock = build()
    x = torch.randn(2, 4, 9, 9) if build is turned else torch.randn(LARGE)
    torch.testing.assert_close(fast(stock)(x), stock(x))


def test_subclasses_stay_as_they_are():
    assert type(fast(Louder(4, (3, 3), input_shape=LARGE))) is Louder


def test_it_is_copied_and_pickled():
    layer = fast(Conv2d(4, (3, 3), input_shape=LARGE))
    x = torch.randn(LARGE)
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert type(twin) is FastConv2d
        assert twin(x).equal(layer(x))


def test_scripts_take_the_stock_one():
    layer = fast(Conv2d(4, (3, 3), input_shape=LARGE)).eval()
    prepared = layer.__prepare_scriptable__()
    assert type(prepared) is Conv2d and prepared.conv is layer.conv
    torch.testing.assert_close(
        prepared(torch.ones(LARGE)), layer(torch.ones(LARGE))
    )

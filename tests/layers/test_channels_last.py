"""The convolution module with channels last against the stock one."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from speechbrain.lobes.models.transformer.Conformer import ConvolutionModule
from speechbrain.nnet.adapters import LoRA
from speechbrain.utils.dynamic_chunk_training import DynChunkTrainConfig

from speechbrain_neuronprune.gates.gate import FixedMask
from speechbrain_neuronprune.layers import channels_last
from speechbrain_neuronprune.layers.channels_last import (
    ChannelsLastConvolution,
    use_channels_last,
)
from speechbrain_neuronprune.layers.convolution import ConvolutionForm


def fast(stock):
    copied = copy.deepcopy(stock)
    use_channels_last(copied)
    assert type(copied) is ChannelsLastConvolution
    return copied


def gradients(layer, x):
    layer(x).square().sum().backward()
    return {name: p.grad for name, p in layer.named_parameters()}


@settings(max_examples=20)
@given(
    channels=st.integers(1, 9),
    frames=st.integers(1, 12),
    kernel=st.sampled_from([1, 3, 7]),
    causal=st.booleans(),
    bias=st.booleans(),
)
def test_equals_stock(channels, frames, kernel, causal, bias):
    if causal and kernel == 1:
        kernel = 3  # the stock module cuts by a padding of 0
    stock = ConvolutionModule(channels, kernel, bias=bias, causal=causal)
    x = torch.randn(2, frames, channels)
    mask = torch.arange(frames)[None, :, None] >= torch.tensor(
        [[[frames]], [[1]]]
    )
    torch.testing.assert_close(
        fast(stock)(x, mask), stock(x, mask), atol=1e-5, rtol=1e-5
    )


def test_dilation():
    stock = ConvolutionModule(4, 3, dilation=2)
    x = torch.randn(1, 9, 4)
    torch.testing.assert_close(fast(stock)(x), stock(x))


@settings(max_examples=30)
@given(
    channels=st.integers(1, 5),
    frames=st.integers(1, 12),
    kernel=st.sampled_from([3, 5]),
    dilation=st.integers(1, 2),
    causal=st.booleans(),
    bias=st.booleans(),
)
def test_a_sum_over_taps_is_the_convolution(
    channels, frames, kernel, dilation, causal, bias
):
    stock = ConvolutionModule(
        channels, kernel, bias=bias, causal=causal, dilation=dilation
    )
    x, layer = torch.randn(2, frames, channels), fast(stock)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(channels_last, "_is_fused", lambda: True)
        torch.testing.assert_close(layer(x), stock(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("inference", [True, False])
def test_compiled_the_layer_computes_the_same(inference):
    seen = []

    def watch(graph, _):
        seen.append([str(node.target) for node in graph.graph.nodes])
        return graph

    layer = fast(ConvolutionModule(6, 5).eval())
    x = torch.randn(2, 9, 6)
    with torch.inference_mode(inference):
        torch._dynamo.reset()
        compiled = torch.compile(layer, backend=watch, fullgraph=True)
        torch.testing.assert_close(compiled(x), layer(x))
    (targets,) = seen
    assert any("conv2d" in one for one in targets) is not inference


def test_an_exported_layer_keeps_its_convolution():
    layer, x = fast(ConvolutionModule(6, 5).eval()), torch.randn(2, 9, 6)
    with torch.no_grad():
        program = torch.export.export(layer, (x,))
    assert "conv2d" in program.graph_module.code
    torch.testing.assert_close(program.module()(x), layer(x))


def test_gradients_are_those_of_the_stock_module():
    stock, x = ConvolutionModule(6, 5), torch.randn(2, 9, 6)
    torch.testing.assert_close(
        gradients(fast(stock), x), gradients(stock, x), atol=1e-4, rtol=1e-4
    )


def test_a_gate_masks_the_same():
    stock, x = ConvolutionModule(6, 5), torch.randn(2, 9, 6)
    keep = torch.arange(6) % 3 > 0
    gated = ConvolutionForm.set_gate(stock, None, FixedMask(keep))
    output = gated(x)
    stock.__class__ = ConvolutionModule
    torch.testing.assert_close(output, stock(x))


def test_chunks_take_the_stock_way():
    stock, x = ConvolutionModule(6, 5), torch.randn(2, 9, 6)
    chunks = DynChunkTrainConfig(4)
    assert torch.equal(
        fast(stock)(x, dynchunktrain_config=chunks),
        stock(x, dynchunktrain_config=chunks),
    )


@pytest.mark.parametrize("stage", ["bottleneck", "bottleneck.0", "conv"])
def test_hooks_on_stages_are_called(stage):
    layer, seen = fast(ConvolutionModule(6, 5)), []
    watched = layer.get_submodule(stage)
    watched.register_forward_hook(lambda *_: seen.append(stage))
    layer(torch.randn(2, 9, 6))
    assert seen == [stage]


def test_gradient_hooks_on_stages_are_called():
    layer, seen = fast(ConvolutionModule(6, 5)), []
    layer.conv.register_full_backward_hook(lambda *_: seen.append("conv"))
    layer(torch.randn(2, 9, 6)).sum().backward()
    assert seen == ["conv"]


def test_adapters_take_the_place_of_a_convolution():
    stock, x = ConvolutionModule(6, 5), torch.randn(2, 9, 6)
    stock.bottleneck[0] = LoRA(stock.bottleneck[0], rank=2)
    torch.nn.init.normal_(stock.bottleneck[0].adapter_up_proj.weight)
    assert torch.equal(fast(stock)(x), stock(x))


def test_subclasses_keep_their_own_forward():
    class Other(ConvolutionModule):
        pass

    layer = Other(4, 3)
    use_channels_last(layer)
    assert type(layer) is Other

"""Faster layers: they compute the same, and nothing else changes.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import copy
import pickle
import shutil

import pytest
import torch
from speechbrain.lobes.models.CRDNN import CRDNN
from speechbrain.nnet.attention import RelPosEncXL
from torch import nn

from speechbrain_neuronprune import (
    AdaptiveDropout,
    PruningPlan,
    RetentionSchedule,
    adaptive_dropouts,
    apply_masks,
    attach_adaptive_dropout,
    compact,
    find_units,
)
from speechbrain_neuronprune.fast_layers import (
    use_fast_layers,
    use_unit_attention,
)
from speechbrain_neuronprune.layers.dropout import QuickDropout
from speechbrain_neuronprune.layers.front_end import FastConv2d
from speechbrain_neuronprune.layers.unit_attention import UnitAttention

KINDS = ["RelPosMHAXL", "RoPEMHA", "regularMHA"]


@pytest.fixture(params=KINDS)
def encoder(request, make_encoder):
    return make_encoder(attention_type=request.param)


def arguments(encoder, length, batch=2):
    source = torch.randn(batch, length, 16)
    given = {"src": source}
    if encoder.attention_type == "RelPosMHAXL":
        given["pos_embs"] = RelPosEncXL(16)(source)
    if batch > 1:
        lengths = torch.linspace(length, length // 2 + 1, batch)
        padding = torch.arange(length)[None] >= lengths[:, None]
        given["src_key_padding_mask"] = padding
    return given


def random_plan(encoder):
    return PruningPlan(
        {
            name: torch.rand(group.size) < 0.5
            for name, group in find_units(encoder).items()
        }
    )


@pytest.mark.parametrize("length", [1, 2, 40, 400])
def test_equal_the_stock_ones(encoder, length):
    given = arguments(encoder, length)
    with torch.no_grad():
        expected, weights = encoder(**given)
        output, ours = use_fast_layers(encoder)(**given)
    torch.testing.assert_close(output, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours, weights, atol=1e-5, rtol=1e-5)


def test_attention_alone_becomes_ours_and_computes_the_same(encoder):
    given = arguments(encoder, 40)
    convolutions = [block.convolution_module for block in encoder.layers]
    with torch.no_grad():
        expected, _ = encoder(**given)
        output, _ = use_unit_attention(encoder)(**given)
    torch.testing.assert_close(output, expected, atol=1e-5, rtol=1e-5)
    for block, convolution in zip(encoder.layers, convolutions, strict=True):
        assert isinstance(block.mha_layer, UnitAttention)
        assert block.convolution_module is convolution


def test_attention_whose_units_cannot_go_stays_as_it_is(partly_gated):
    encoder = partly_gated(AdaptiveDropout)
    before = [block.mha_layer for block in encoder.layers]
    use_unit_attention(encoder)
    assert [block.mha_layer for block in encoder.layers] == before


def test_gates_of_attention_stay(encoder):
    attach_adaptive_dropout(encoder, RetentionSchedule(10))
    gates = adaptive_dropouts(encoder)
    use_unit_attention(encoder)
    assert adaptive_dropouts(encoder) == gates


def test_gradients_are_those_of_the_stock_ones(encoder):
    fast = use_fast_layers(copy.deepcopy(encoder))
    given = arguments(encoder, 150)
    gradients = []
    for model in (encoder, fast):
        with torch.no_grad():  # fills what is remembered
            model(**given)
        model(**given)[0].square().sum().backward()
        gradients.append({n: p.grad for n, p in model.named_parameters()})
    torch.testing.assert_close(*gradients, atol=1e-3, rtol=1e-4)


def test_names_and_gates_stay(encoder):
    names = list(encoder.state_dict())
    assert list(use_fast_layers(encoder).state_dict()) == names
    attach_adaptive_dropout(encoder, RetentionSchedule(steps=10))
    gates = adaptive_dropouts(use_fast_layers(encoder))
    assert len(gates) == len(find_units(encoder))


def test_copies_and_pickles_compute_the_same(encoder):
    small = compact(encoder, random_plan(encoder))
    given = arguments(encoder, 30)
    with torch.no_grad():
        expected, _ = small(**given)
        for copied in (
            copy.deepcopy(small),
            pickle.loads(pickle.dumps(small)),
        ):
            assert torch.equal(copied(**given)[0], expected)


def test_what_is_remembered_follows_the_weights(encoder):
    """Loading, steps, and edits that PyTorch does not count."""
    small = compact(encoder, random_plan(encoder))
    given = arguments(encoder, 30)
    with torch.no_grad():
        small(**given)
        for parameter in small.parameters():
            parameter.data.mul_(1.5)
        output, _ = small(**given)
        expected, _ = copy.deepcopy(small)(**given)
    assert torch.equal(output, expected)


def test_shorter_and_longer_utterances_take_turns(encoder):
    small = compact(encoder, random_plan(encoder))
    for length in (30, 12, 1, 47, 30):
        given = arguments(encoder, length)
        with torch.no_grad():
            output, _ = small(**given)
            expected, _ = copy.deepcopy(small)(**given)
        torch.testing.assert_close(output, expected, atol=1e-6, rtol=1e-6)


def test_inference_mode_leaves_the_model_trainable(encoder):
    small = compact(encoder, random_plan(encoder))
    given = arguments(encoder, 30)
    with torch.inference_mode():
        expected, _ = small(**given)
    with torch.no_grad():
        small(**given)
    output, _ = small(**given)
    output.sum().backward()
    torch.testing.assert_close(output, expected.clone())


@pytest.mark.parametrize("kept", ["all", "some"])
@pytest.mark.parametrize("attention", KINDS[:2])
def test_two_graphs_for_all_lengths(make_encoder, attention, kept):
    """One for the first, and one for all others."""
    graphs = []

    def count(graph, _):
        graphs.append(graph)
        return graph

    torch.manual_seed(2)
    model = make_encoder(attention_type=attention)
    if kept == "some":
        model = compact(model, random_plan(model))
    model = use_fast_layers(model)
    torch._dynamo.reset()
    compiled = torch.compile(model, backend=count)
    for length in (25, 10, 40, 17, 25):
        given = arguments(model, length)
        with torch.no_grad():
            torch.testing.assert_close(
                compiled(**given)[0], model(**given)[0], atol=1e-5, rtol=1e-5
            )
    assert len(graphs) == 2


@pytest.mark.skipif(not shutil.which("g++"), reason="needs a C++ compiler")
def test_what_is_compiled_computes_the_same(make_encoder):
    """As docs/deployment.md has it: to C++, for all lengths."""
    torch.manual_seed(2)
    encoder = make_encoder(num_layers=1)
    small = compact(encoder, random_plan(encoder))
    lengths = [arguments(encoder, length) for length in (25, 10, 40)]
    with torch.no_grad():
        expected = [small(**given)[0] for given in lengths]
        torch._dynamo.reset()
        small.compile(options={"cpp_wrapper": True})
        for given, one in zip(lengths, expected, strict=True):
            torch.testing.assert_close(
                small(**given)[0], one, atol=1e-5, rtol=1e-5
            )


@pytest.mark.parametrize("attention", KINDS[:2])
def test_one_graph_for_the_compiler(make_encoder, attention):
    encoder = make_encoder(num_layers=1, attention_type=attention)
    small = compact(encoder, random_plan(encoder))
    given = arguments(encoder, 30)
    compiled = torch.compile(small, backend="eager", fullgraph=True)
    with torch.no_grad():
        torch.testing.assert_close(compiled(**given)[0], small(**given)[0])


class Traceable(torch.nn.Module):
    """An encoder, called as ``torch.jit.trace`` wants it."""

    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder

    def forward(self, source, embeddings=None):
        return self.encoder(source, pos_embs=embeddings)[0]


@torch.no_grad()
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_trace_serves_any_length(encoder):
    small = Traceable(compact(encoder, random_plan(encoder)))
    small(*arguments(encoder, 20, batch=1).values())
    given = tuple(arguments(encoder, 30, batch=1).values())
    traced = torch.jit.trace(small, given, check_trace=False)
    for length in (30, 12, 47):
        given = tuple(arguments(encoder, length, batch=1).values())
        torch.testing.assert_close(
            traced(*given), small(*given), atol=1e-6, rtol=1e-6
        )


def test_fast_convolutions_hold_the_same_units_and_are_narrowed():
    options = {"cnn_blocks": 2, "cnn_channels": (4, 6), "rnn_layers": 1}
    options |= {"rnn_neurons": 4, "dnn_blocks": 2, "dnn_neurons": 5}
    stock = CRDNN(input_shape=[None, None, 12], **options).eval()
    fast = use_fast_layers(copy.deepcopy(stock))
    assert [type(m) for m in fast.modules()].count(FastConv2d) == 4
    groups = find_units(stock)
    assert find_units(fast).keys() == groups.keys()
    assert any(group.kind == "conv" for group in groups.values())
    plan = random_plan(stock)
    x = torch.randn(2, 20, 12)
    small = compact(fast, plan)
    torch.testing.assert_close(small(x), compact(stock, plan)(x))
    masked = apply_masks(fast, plan)
    torch.testing.assert_close(small(x), masked(x), atol=1e-5, rtol=1e-5)


def test_dropouts_become_quick_where_gates_are(make_encoder):
    encoder = make_encoder()
    attach_adaptive_dropout(encoder, RetentionSchedule())
    kinds = {type(m) for m in encoder.modules() if isinstance(m, nn.Dropout)}
    assert kinds == {QuickDropout}

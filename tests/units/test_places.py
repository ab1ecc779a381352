"""Where layers stand: roles of attention, order, and what stands in the way."""

import pytest
import torch
from speechbrain.lobes.models.transformer.Branchformer import (
    BranchformerEncoderLayer,
)
from speechbrain.lobes.models.transformer.Conformer import (
    ConformerDecoderLayer,
    ConformerEncoderLayer,
)
from speechbrain.lobes.models.transformer.Transformer import (
    TransformerDecoderLayer,
    TransformerEncoderLayer,
)
from speechbrain.nnet.adapters import AdaptedModel, LoRA
from speechbrain.nnet.attention import (
    MultiheadAttention,
    PositionalwiseFeedForward,
    RelPosMHAXL,
)
from torch import nn

from speechbrain_neuronprune import compact, find_units
from speechbrain_neuronprune.deploy import int8_model
from speechbrain_neuronprune.errors import UnitsError
from speechbrain_neuronprune.units import supported_units
from speechbrain_neuronprune.units.layouts import projection_rows
from speechbrain_neuronprune.units.places import obstacles, walk
from tests.plans import make_plan


class ScaledAttention(RelPosMHAXL):
    """A RelPosMHAXL by class, but not by what it computes."""

    def forward(self, *args, **kwargs):
        out, weights = super().forward(*args, **kwargs)
        return 2 * out, weights


def roles(block):
    return {p.path: p.cross for p in walk(block) if p.cross is not None}


@pytest.mark.parametrize(
    "block, expected",
    [
        (ConformerEncoderLayer(8, 8, 2), {"mha_layer": False}),
        (BranchformerEncoderLayer(8, 2), {"mha_layer": False}),
        (TransformerEncoderLayer(8, 2, 8), {"self_att": False}),
        (
            TransformerDecoderLayer(8, 2, 8),
            {"self_attn": False, "multihead_attn": True},
        ),
        (ConformerDecoderLayer(8, 8, 2, 3), {"mha_layer": True}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_roles_of_attention(block, expected):
    assert roles(block) == expected
    assert list(obstacles(block)) == []


def test_a_conformer_decoder_is_walked_in_forward_order():
    groups = find_units(ConformerDecoderLayer(8, 8, 2, 3))
    assert list(groups) == [
        "ffn_module1",
        "mha_layer.query",
        "mha_layer.value",
        "convolution_module",
        "ffn_module2",
    ]
    assert {n for n, g in groups.items() if g.cross} == {
        "mha_layer.query",
        "mha_layer.value",
    }


def test_attention_outside_of_a_block_has_no_groups():
    """Nobody knows what its queries and keys will be."""
    model = nn.ModuleDict({"mha_layer": RelPosMHAXL(8, 2)})
    assert find_units(model) == {}
    assert find_units(RelPosMHAXL(8, 2)) == {}


def test_cross_attention_has_its_rows_stacked():
    layer = RelPosMHAXL(8, 2)
    stacked = torch.cat(projection_rows(layer, cross=True))
    assert stacked.equal(torch.arange(24))
    assert not torch.cat(projection_rows(layer)).equal(stacked)


@pytest.mark.parametrize(
    "block, path, problem, others",
    [
        (
            TransformerEncoderLayer(8, 2, 8, attention_type="hypermixing"),
            "self_att is a HyperMixing",
            "supported attention is RelPosMHAXL",
            ["ffn"],
        ),
        (
            BranchformerEncoderLayer(8, 2, attention_type="hypermixing"),
            "mha_layer is a HyperMixing",
            "supported attention is RelPosMHAXL",
            ["conv"],
        ),
        (
            TransformerDecoderLayer(8, 2, 8, kdim=5, vdim=5),
            "self_attn is a MultiheadAttention",
            "kdim and vdim are not supported",
            ["ffn"],
        ),
        (
            TransformerEncoderLayer(8, 2, 8, ffn_type="1dcnn"),
            "pos_ffn is a Sequential",
            "ffn_type='regularFFN'",
            ["query", "value"],
        ),
    ],
    ids=["mixing", "mixing in two branches", "other keys", "convolutions"],
)
def test_what_cannot_be_exact_is_refused_by_name(block, path, problem, others):
    with pytest.raises(UnitsError) as error:
        find_units(block)
    for part in (path, problem, str(others)):
        assert part in str(error.value)
    assert {group.kind for group in find_units(block, others).values()} == set(
        others
    )


@pytest.mark.parametrize(
    "attention, problem",
    [
        (ScaledAttention(8, 2), "supported attention is"),
        (RelPosMHAXL(8, 2, vdim=4), "vdim=4 other than embed_dim=8"),
        (MultiheadAttention(2, 8, add_bias_kv=True), "add_bias_kv"),
        (MultiheadAttention(2, 8, add_zero_attn=True), "add_zero_attn"),
    ],
    ids=["subclass", "vdim", "bias", "zero"],
)
def test_attention_that_does_something_else_is_refused(attention, problem):
    block = ConformerEncoderLayer(8, 8, 2)
    block.mha_layer = attention
    with pytest.raises(UnitsError, match=problem):
        find_units(block, "value")
    assert len(find_units(block, ["ffn", "conv"])) == 3


def adapted(encoder, *layers):
    """With low-rank adapters in place of some Linear layers."""
    return AdaptedModel(
        encoder,
        adapter_class=LoRA,
        target_layers=list(layers),
        adapter_kwargs={"rank": 2},
    )


@pytest.mark.parametrize(
    "part, layer, kinds",
    [
        ("ffn_module1.1.ffn.3", "ffn_module1.1", ["ffn"]),
        ("mha_layer.out_proj", "mha_layer", ["query", "value"]),
        ("mha_layer.linear_pos", "mha_layer", ["query", "value"]),
        ("convolution_module.after_conv.2", "convolution_module", ["conv"]),
        ("convolution_module.bottleneck.0", "convolution_module", ["conv"]),
    ],
)
def test_adapters_have_to_be_merged_before(make_encoder, part, layer, kinds):
    names = set(find_units(make_encoder(num_layers=1)))
    model = adapted(make_encoder(num_layers=1), f"layers.0.{part}")
    problem = f"layers.0.{layer} is a .* held by a LoRA; merge adapters before"
    with pytest.raises(UnitsError, match=problem):
        find_units(model)
    left = {n.removeprefix("adapted_model.") for n in supported_units(model)}
    gone = {name.split(".")[2] for name in names - left}
    assert left < names and gone == {layer.split(".")[0]}
    others = [k for k in ("ffn", "query", "value", "conv") if k not in kinds]
    assert find_units(model, others)


def test_where_all_layers_are_adapted_no_other_target_is_named(make_encoder):
    model = AdaptedModel(
        make_encoder(num_layers=1),
        adapter_class=LoRA,
        all_linear=True,
        adapter_kwargs={"rank": 2},
    )
    assert supported_units(model) == {}
    with pytest.raises(UnitsError, match="quantise after it.$"):
        find_units(model)


def test_quantised_layers_have_no_units(make_encoder):
    encoder = torch.ao.quantization.quantize_dynamic(
        make_encoder(num_layers=1), {nn.Linear}
    )
    assert supported_units(encoder) == {}
    with pytest.raises(UnitsError, match="held by a DynamicQuantizedLinear"):
        find_units(encoder)


@pytest.mark.parametrize("attention", ["RelPosMHAXL", "RoPEMHA", "regularMHA"])
def test_int8_models_have_no_units(make_encoder, attention):
    encoder = make_encoder(num_layers=1, attention_type=attention)
    chain = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    model = int8_model(nn.ModuleList([encoder, chain]))
    assert supported_units(model) == {}
    for kind in ("ffn", "query", "conv"):
        with pytest.raises(UnitsError, match="held by a Int8Weight"):
            find_units(model, kind)


class ScaledFeedForward(PositionalwiseFeedForward):
    """A feed-forward module by class, but not by what it computes."""

    def forward(self, x):
        return 2 * super().forward(x)


class NamedFeedForward(PositionalwiseFeedForward):
    """One that computes the same."""


def test_a_forward_of_its_own_is_refused(make_encoder):
    encoder = make_encoder(num_layers=1)
    stages = encoder.layers[0].ffn_module1
    stages[1].__class__ = NamedFeedForward
    assert len(find_units(encoder)) == 5
    stages[1].__class__ = ScaledFeedForward
    with pytest.raises(UnitsError, match="forward other than that of Pos"):
        find_units(encoder)
    assert "layers.0.ffn_module1" not in supported_units(encoder)
    assert len(find_units(encoder, ["query", "value", "conv"])) == 3


@pytest.mark.parametrize("attention", ["RelPosMHAXL", "RoPEMHA", "regularMHA"])
def test_a_forward_that_was_put_in_is_refused(make_encoder, attention):
    """By torch.compile(layer.forward), say: ours would not be called."""
    encoder = make_encoder(num_layers=1, attention_type=attention)
    layer = encoder.layers[0].mha_layer
    stock = layer.forward
    layer.forward = lambda *given, **named: stock(*given, **named)
    with pytest.raises(UnitsError, match="its forward was replaced by another"):
        find_units(encoder)
    del layer.forward
    linear = encoder.layers[0].ffn_module1[1].ffn[0]
    linear.forward = torch.compile(linear.forward)
    with pytest.raises(UnitsError, match=r"its ffn\.0\.weight is held by"):
        find_units(encoder)


def test_a_weight_that_a_hook_computes_is_refused(make_encoder):
    encoder = make_encoder(num_layers=1)
    feed_forward = encoder.layers[0].ffn_module1[1]
    feed_forward.ffn[3] = nn.utils.weight_norm(feed_forward.ffn[3])
    with pytest.raises(UnitsError, match=r"ffn\.3\.weight is computed from"):
        find_units(encoder)
    chain = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    chain[0] = nn.utils.weight_norm(chain[0])
    assert find_units(chain) == {}


def test_layers_without_units_are_no_obstacle():
    block = TransformerDecoderLayer(8, 2, 8)
    small = compact(block, make_plan(block, "nothing"))
    assert list(obstacles(small)) == []
    assert find_units(small) == {}

"""Groups: names, order, sizes, slices, and the errors of a bad target."""

from functools import partial

import pytest
import speechbrain as sb
import torch
from speechbrain.lobes.models.CRDNN import CRDNN
from speechbrain.lobes.models.transformer.Branchformer import (
    BranchformerEncoderLayer,
)
from speechbrain.lobes.models.transformer.Conformer import (
    ConformerEncoder,
    ConformerEncoderLayer,
)
from speechbrain.nnet.activations import Swish
from speechbrain.nnet.attention import PositionalwiseFeedForward
from speechbrain.nnet.normalization import BatchNorm1d, LayerNorm
from torch import nn

from speechbrain_neuronprune import (
    PruningPlan,
    RetentionSchedule,
    attach_adaptive_dropout,
    compact,
    find_units,
)
from speechbrain_neuronprune.errors import UnitsError
from speechbrain_neuronprune.layers.normalization import PartialLayerNorm
from speechbrain_neuronprune.units import count_parameters, linears_of
from speechbrain_neuronprune.units.layouts import projection_rows

NAMES = [
    "layers.0.ffn_module1",
    "layers.0.mha_layer.query",
    "layers.0.mha_layer.value",
    "layers.0.convolution_module",
    "layers.0.ffn_module2",
]


def test_groups_come_in_forward_order(make_encoder):
    groups = find_units(make_encoder(num_layers=1))
    assert list(groups) == NAMES
    kinds = [group.kind for group in groups.values()]
    assert kinds == ["ffn", "query", "value", "conv", "ffn"]


def test_a_transformer_asr_prefixes_the_names(make_asr):
    groups = find_units(make_asr())
    assert list(groups)[:5] == ["encoder." + name for name in NAMES]
    assert len(groups) == 10


@pytest.mark.parametrize(
    "targets, expected",
    [
        ("ffn", [0, 4]),
        (["query", "value"], [1, 2]),
        ("layers.0.mha_layer.*", [1, 2]),
        (["*.convolution_module", "ffn"], [0, 3, 4]),
        (None, [0, 1, 2, 3, 4]),
    ],
)
def test_targets_are_kinds_or_patterns(make_encoder, targets, expected):
    groups = find_units(make_encoder(num_layers=1), targets)
    assert list(groups) == [NAMES[index] for index in expected]


def test_a_pattern_without_a_match_lists_what_there_is(make_encoder):
    with pytest.raises(UnitsError) as error:
        find_units(make_encoder(num_layers=1), ["ffn", "layers.7.*"])
    assert "'layers.7.*'" in str(error.value)
    assert all(name in str(error.value) for name in NAMES)


def test_unsupported_attention_is_refused_by_name():
    encoder = ConformerEncoder(1, 16, 24, 2, attention_type="hypermixing")
    with pytest.raises(UnitsError, match="mha_layer is a HyperMixing"):
        find_units(encoder)
    with pytest.raises(UnitsError, match="HyperMixing"):
        attach_adaptive_dropout(encoder, RetentionSchedule())
    assert len(find_units(encoder, ["ffn", "conv"])) == 3


def test_paper_costs_per_unit():
    """Sec. 3 at D = 512: a hidden unit owns 2 D + 1 parameters."""
    encoder = ConformerEncoder(
        1, 512, 2048, 8, kernel_size=31, attention_type="RoPEMHA"
    )
    costs = {n: g.parameters_per_unit for n, g in find_units(encoder).items()}
    assert costs[NAMES[0]] == 2 * 512 + 1
    assert costs[NAMES[1]] == 2 * 2 * 512  # a rotation pair: 2 q and 2 k rows
    assert costs[NAMES[2]] == 2 * 512
    # two pointwise rows, kernel, LayerNorm, one output column
    assert costs[NAMES[3]] == 2 * 513 + 32 + 2 + 512


@pytest.mark.parametrize("attention", ["RelPosMHAXL", "RoPEMHA", "regularMHA"])
def test_slices_never_overlap(make_encoder, attention):
    """Every scalar belongs to at most one unit of the model, except where a
    row of one group crosses a column of another."""
    encoder = make_encoder(num_layers=1, attention_type=attention)
    owned = {}
    for group in find_units(encoder).values():
        for one in group.slices:
            key = (group.layer, one.parameter, one.dim)
            owned.setdefault(key, []).append(one.index.flatten())
    for key, parts in owned.items():
        index = torch.cat(parts)
        assert len(index.unique()) == len(index), key


def test_projection_rows_follow_speechbrains_interleaving(make_encoder):
    """q0 k0 v0 q1 k1 v1 in RelPosMHAXL, checked on its own forward."""
    layer = make_encoder(num_layers=1).layers[0].mha_layer
    x = torch.randn(1, 3, 16)
    joint = nn.functional.linear(x, layer.in_proj_weight)
    parts = joint.view(1, 3, 2, 24).chunk(3, dim=-1)
    for rows, part in zip(projection_rows(layer), parts, strict=True):
        assert torch.equal(joint[..., rows], part.flatten(2))


def test_gate_logits_are_not_counted(make_encoder):
    encoder = make_encoder()
    before = count_parameters(encoder)
    attach_adaptive_dropout(encoder, RetentionSchedule())
    assert count_parameters(encoder) == before
    assert sum(p.numel() for p in encoder.parameters()) > before


def test_a_model_without_units_has_no_groups():
    assert find_units(nn.Linear(3, 3)) == {}


# ------------------------------------------------ fully connected chains


def between(*stages):
    """A chain of two Linear layers with 4 units and stages between them."""
    return nn.Sequential(nn.Linear(3, 4), *stages, nn.Linear(4, 2))


class Residual(nn.Sequential):
    """A Sequential by class, but not by what it computes."""

    def forward(self, x):
        return x + super().forward(x)


class ScaledLinear(nn.Linear):
    """A Linear by class, but not by what it computes."""

    def forward(self, x):
        return 2.0 * super().forward(x)


def test_a_plain_stack_is_named_by_its_linear_layers():
    model = nn.Sequential(
        nn.Linear(3, 8),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.Linear(8, 6),
        nn.Tanh(),
        nn.Linear(6, 2),
    )
    groups = find_units(model)
    assert [(n, g.size) for n, g in groups.items()] == [("0", 8), ("3", 6)]
    assert {g.layer for g in groups.values()} == {""}
    assert {g.kind for g in groups.values()} == {"fc"}
    assert groups["0"].parameters_per_unit == 3 + 1 + 6


def test_nested_containers_are_one_chain():
    blocks = [
        sb.nnet.containers.Sequential(
            linear=nn.Linear(5, 5), act=nn.Sequential(nn.ReLU(), nn.Identity())
        )
        for _ in range(3)
    ]
    model = nn.ModuleDict({"net": nn.Sequential(*blocks, nn.Linear(5, 1))})
    assert list(find_units(model)) == [f"net.{i}.linear" for i in range(3)]
    assert find_units(model)["net.1.linear"].layer == "net"


def make_crdnn(**changes):
    sizes = {
        "input_shape": [None, None, 8],
        "cnn_blocks": 1,
        "cnn_channels": [2],
        "rnn_layers": 1,
        "rnn_neurons": 4,
        "rnn_bidirectional": False,
        "dnn_blocks": 3,
        "dnn_neurons": 6,
    }
    return CRDNN(**{**sizes, **changes})


def test_a_crdnn_gives_the_units_of_its_cnn_and_its_dnn():
    names = [f"DNN.block_{i}.linear.w" for i in range(2)]
    crdnn = make_crdnn(projection_dim=5)
    channels = [f"CNN.block_0.conv_{i}" for i in (1, 2)]
    assert list(find_units(crdnn)) == [*channels, *names]
    assert find_units(crdnn)[names[0]].layer == ""
    whole = nn.Sequential(crdnn, nn.Linear(6, 3))
    assert list(find_units(whole, "fc")) == [
        f"0.DNN.block_{i}.linear.w" for i in range(3)
    ]


def test_a_batch_norm_is_owned_and_its_buffers_are_not_parameters():
    group = find_units(make_crdnn(), "DNN.block_0.*")["DNN.block_0.linear.w"]
    owned = [one.parameter for one in group.slices]
    norm = [name for name in owned if name.startswith("DNN.block_0.norm.norm.")]
    assert [name.rpartition(".")[2] for name in norm] == [
        "weight",
        "bias",
        "running_mean",
        "running_var",
    ]
    # four inputs and a bias, two numbers of the norm, six outputs
    assert group.parameters_per_unit == 4 + 1 + 2 + 6


@pytest.mark.parametrize(
    "stages",
    [
        [],
        [nn.ReLU()],
        [nn.LeakyReLU(), nn.Dropout(0.5), nn.Identity()],
        [nn.ReLU6()],
        [Swish()],
        [nn.PReLU()],
        [nn.PReLU(4)],
        [nn.BatchNorm1d(4), nn.Sigmoid()],
        [nn.BatchNorm1d(4, affine=False, track_running_stats=False)],
        [BatchNorm1d(input_size=4)],
        [BatchNorm1d(input_size=4, combine_batch_time=True)],
        [nn.LayerNorm(4), nn.GELU()],
        [nn.GELU(), nn.LayerNorm([4], elementwise_affine=False)],
        [LayerNorm(input_size=4)],
        [PartialLayerNorm(torch.ones(4), None, 9)],
    ],
    ids=repr,
)
def test_stages_that_leave_units_in_their_place(stages):
    assert list(find_units(between(*stages))) == ["0"]


@pytest.mark.parametrize(
    "stages",
    [
        [nn.Softmax(-1)],
        [nn.LogSoftmax(-1)],
        [nn.GLU()],
        [nn.Flatten()],
        [nn.LSTM(4, 4)],
        [nn.Conv1d(4, 4, 1)],
        [nn.BatchNorm1d(5)],
        [nn.LayerNorm([3, 4])],
        [nn.LayerNorm(5)],
        [nn.PReLU(5)],
        [BatchNorm1d(input_size=4, skip_transpose=True)],
        [PartialLayerNorm(torch.ones(5), None, 9)],
        [Residual(nn.ReLU())],
    ],
    ids=repr,
)
def test_stages_that_end_a_chain(stages):
    assert find_units(between(*stages)) == {}


def test_linear_layers_that_do_more_than_that_end_a_chain():
    renormed = sb.nnet.linear.Linear(4, input_size=3, max_norm=1.0)
    for first in (renormed, ScaledLinear(3, 4), nn.LazyLinear(4)):
        assert find_units(nn.Sequential(first, nn.Linear(4, 2))) == {}
        assert find_units(nn.Sequential(nn.Linear(2, 3), first)) == {}


def test_a_residual_block_keeps_the_chain_inside_it():
    model = nn.Sequential(
        nn.Linear(3, 3),
        Residual(nn.Sequential(nn.Linear(3, 9), nn.ReLU(), nn.Linear(9, 3))),
        nn.Linear(3, 3),
    )
    assert list(find_units(model)) == ["1.0.0"]


def test_combined_dimensions_make_a_producer():
    first = sb.nnet.linear.Linear(4, input_size=6, combine_dims=True)
    second = sb.nnet.linear.Linear(2, input_size=4, combine_dims=True)
    assert list(find_units(nn.Sequential(first, nn.ReLU(), second))) == ["0.w"]


def test_a_shared_activation_is_no_obstacle():
    act = nn.ReLU()
    model = nn.Sequential(
        nn.Linear(3, 3), act, nn.Linear(3, 3), act, nn.Linear(3, 3)
    )
    assert list(find_units(model)) == ["0", "2"]


def test_shared_layers_give_no_group():
    shared = nn.Linear(3, 3)
    twice = nn.Sequential(shared, nn.ReLU(), shared, nn.ReLU(), nn.Linear(3, 3))
    assert find_units(twice) == {}
    elsewhere = nn.ModuleDict({"net": between(nn.ReLU()), "other": nn.ReLU()})
    assert list(find_units(elsewhere)) == ["net.0"]
    elsewhere["other"] = elsewhere["net"][2]
    assert find_units(elsewhere) == {}


def test_tied_weights_and_shared_norms_give_no_group():
    tied = nn.Sequential(
        nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4)
    )
    assert list(find_units(tied)) == ["0", "2"]
    tied[4].weight = tied[0].weight
    assert find_units(tied) == {}
    norm = nn.LayerNorm(4, elementwise_affine=False)
    normed = nn.Sequential(
        nn.Linear(4, 4), norm, nn.Linear(4, 4), norm, nn.Linear(4, 4)
    )
    assert find_units(normed) == {}


def test_layers_within_a_chain_come_in_forward_order():
    ffn = PositionalwiseFeedForward(5, input_size=4)
    head = [nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2)]
    model = nn.Sequential(nn.Linear(3, 7), nn.ReLU(), nn.Linear(7, 4), ffn)
    model = nn.Sequential(model, *head)
    groups = find_units(model)
    assert list(groups) == ["0.0", "0.3", "1"]
    assert [group.kind for group in groups.values()] == ["fc", "ffn", "fc"]


def test_a_conformer_in_a_container_keeps_its_groups(make_encoder):
    encoder = make_encoder(num_layers=1)
    model = sb.nnet.containers.Sequential(encoder, nn.Linear(16, 3))
    assert list(find_units(model)) == [f"0.{name}" for name in NAMES]


@pytest.mark.parametrize("kind", ["fc", "ffn"])
def test_linears_are_the_owners_of_the_two_weights(make_encoder, kind):
    model = between(BatchNorm1d(input_size=4), nn.PReLU(4), LayerNorm(4))
    if kind == "ffn":
        model = make_encoder(num_layers=1)
    group = next(iter(find_units(model, kind).values()))
    producer, consumer = linears_of(model, group)
    layer = model.get_submodule(group.layer)
    weights = {
        one.dim: layer.get_parameter(one.parameter)
        for one in group.slices
        if layer.state_dict()[one.parameter].ndim == 2
    }
    assert weights[0] is producer.weight and weights[1] is consumer.weight
    assert producer.out_features == consumer.in_features == group.size


def test_linears_of_other_kinds_are_refused(make_encoder):
    encoder = make_encoder(num_layers=1)
    group = find_units(encoder)["layers.0.convolution_module"]
    with pytest.raises(UnitsError, match="convolution_module is of kind conv"):
        linears_of(encoder, group)


@pytest.mark.parametrize(
    "activation, problem",
    [
        (partial(nn.Softmax, dim=-1), "is a Softmax, which looks at all units"),
        (partial(nn.LayerNorm, 24), "is a LayerNorm, which looks at all units"),
        (partial(nn.PReLU, 24), "is a PReLU, which may have a number for each"),
    ],
)
def test_activations_that_do_not_treat_units_alike_are_refused(
    activation, problem
):
    layer = PositionalwiseFeedForward(24, input_size=16, activation=activation)
    with pytest.raises(UnitsError, match=problem):
        find_units(layer)


def test_an_activation_with_one_number_for_all_is_none():
    layer = PositionalwiseFeedForward(24, input_size=16, activation=nn.PReLU)
    assert len(find_units(layer)) == 1


@pytest.mark.parametrize("kind", ["conformer", "branchformer"])
def test_gates_and_convolutions_need_such_activations_too(kind):
    softmax = partial(nn.Softmax, dim=-1)
    options = {"d_model": 16, "nhead": 2, "kernel_size": 3}
    if kind == "conformer":
        block = ConformerEncoderLayer(**options, d_ffn=32, activation=softmax)
    else:
        block = BranchformerEncoderLayer(**options, gate_activation=softmax)
    with pytest.raises(UnitsError, match="Softmax, which looks at all units"):
        find_units(block, "conv")


@pytest.mark.parametrize("entry", ["pos_bias_u", "linear_pos", "out_proj"])
def test_attention_that_shares_a_part_has_no_units(entry):
    encoder = ConformerEncoder(2, 16, 32, 2, kernel_size=3)
    one, two = (block.mha_layer for block in encoder.layers)
    setattr(two, entry, getattr(one, entry))
    groups = find_units(encoder)
    assert {group.kind for group in groups.values()} == {"ffn", "conv"}
    compact(encoder, half_of(groups))


def test_a_name_with_brackets_names_itself():
    chain = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    model = nn.ModuleDict({"net[0]": chain})
    assert list(find_units(model, "net[0].0")) == ["net[0].0"]


def half_of(groups):
    return PruningPlan(
        {name: torch.arange(g.size) % 2 < 1 for name, g in groups.items()}
    )

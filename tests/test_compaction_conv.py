"""Channels of two-dimensional convolutions: compact equals masked.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from speechbrain.lobes.models.convolution import ConvolutionFrontEnd
from speechbrain.lobes.models.CRDNN import CRDNN
from speechbrain.nnet.activations import Swish
from speechbrain.nnet.CNN import Conv2d
from speechbrain.nnet.dropout import Dropout2d
from speechbrain.nnet.linear import Linear
from speechbrain.nnet.normalization import BatchNorm2d, LayerNorm
from speechbrain.nnet.pooling import Pooling1d, Pooling2d
from speechbrain.nnet.RNN import GRU, LSTM, RNN, LiGRU, SLiGRU
from torch import nn

from speechbrain_neuronprune import (
    PruningPlan,
    RetentionSchedule,
    adaptive_dropouts,
    apply_masks,
    attach_adaptive_dropout,
    compact,
    find_units,
)
from speechbrain_neuronprune.compaction import ParameterCounter
from speechbrain_neuronprune.layers.normalization import PartialLayerNorm
from speechbrain_neuronprune.units import count_parameters
from tests.test_compaction_fc import randomize

TOLERANCE = 1e-5
BANDS = 6
CONVOLUTIONS = [
    "CNN.block_0.conv_1",
    "CNN.block_0.conv_2",
    "CNN.block_1.conv_1",
    "CNN.block_1.conv_2",
]

# What may stand behind a convolution, given its channels; bands stay.
STAGES = {
    "nothing": lambda channels: [],
    "layer": lambda channels: [LayerNorm(input_size=[BANDS, channels])],
    "layer, sigmoid": lambda channels: [
        LayerNorm(input_size=[BANDS, channels]),
        nn.Sigmoid(),
    ],
    "no affine": lambda channels: [
        LayerNorm(input_size=[BANDS, channels], elementwise_affine=False),
        Swish(),
    ],
    "over channels": lambda channels: [
        nn.ReLU(),
        LayerNorm(input_size=channels),
        nn.PReLU(),
    ],
    "batch": lambda channels: [BatchNorm2d(input_size=channels), nn.GELU()],
    "pooling": lambda channels: [
        nn.LeakyReLU(),
        Pooling1d("max", 2, input_dims=4, pool_axis=1),
        Dropout2d(0.2),
    ],
}


def make_crdnn(**changes):
    torch.manual_seed(0)
    sizes = {
        "input_shape": [None, None, 8],
        "cnn_channels": [5, 4],
        "rnn_class": LSTM,
        "rnn_layers": 1,
        "rnn_neurons": 4,
        "dnn_blocks": 1,
        "dnn_neurons": 6,
        "dropout": 0.0,
    }
    return randomize(CRDNN(**{**sizes, **changes}))


def check(model, plan, x):
    """Masked equals compact, in numbers and in counted parameters."""
    small = compact(model, plan)
    masked = apply_masks(copy.deepcopy(model), plan)
    with torch.no_grad():
        one, two = masked(x), small(x)
    assert torch.isfinite(one).all()
    assert (one - two).abs().max() <= TOLERANCE
    assert ParameterCounter(model)(plan.keep) == count_parameters(small)
    return small


def drawn_plan(data, model, targets="conv"):
    """Any units of a model, drawn by hypothesis."""
    flags = {
        name: data.draw(
            st.lists(st.booleans(), min_size=group.size, max_size=group.size)
        )
        for name, group in find_units(model, targets).items()
    }
    return PruningPlan({n: torch.tensor(keep) for n, keep in flags.items()})


def plan_of(model, style):
    """Hostile plans over all groups."""
    keep = {}
    for name, group in find_units(model).items():
        units = torch.arange(group.size)
        keep[name] = {
            "one left": units == group.size - 1,
            "none left": units < 0,
            "all but one": units > 0,
            "every other": units % 2 < 1,
        }[style]
    return PruningPlan(keep)


STYLES = ("one left", "none left", "all but one", "every other")


def test_the_groups_of_a_crdnn_are_in_forward_order():
    model = nn.Sequential(make_crdnn(), nn.Linear(6, 3))
    groups = find_units(model)
    assert list(groups) == [
        *(f"0.{name}" for name in CONVOLUTIONS),
        "0.DNN.block_0.linear.w",
    ]
    kinds = [group.kind for group in groups.values()]
    assert kinds == ["conv"] * 4 + ["fc"]
    assert list(find_units(model, "fc")) == ["0.DNN.block_0.linear.w"]


def test_what_a_channel_owns():
    groups = find_units(make_crdnn())
    kernel, norm = 9, 2 * 8
    first, last = groups[CONVOLUTIONS[0]], groups[CONVOLUTIONS[3]]
    assert first.parameters_per_unit == kernel + 1 + norm + 5 * kernel
    # two of eight bands are left, and an LSTM has four gates, twice
    assert last.parameters_per_unit == (
        4 * kernel + 1 + norm // 2 + 2 * (2 * 4 * 4)
    )


@settings(max_examples=8)
@given(data=st.data())
def test_any_plan_of_a_crdnn(data):
    model = make_crdnn()
    plan = drawn_plan(data, model)
    time = data.draw(st.integers(4, 13))
    check(model, plan, torch.randn(2, time, 8))


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(
    "changes",
    [
        {"rnn_class": GRU, "rnn_bidirectional": False},
        {"rnn_class": RNN, "time_pooling": True},
        {"rnn_class": LiGRU, "using_2d_pooling": True},
        {"rnn_class": SLiGRU, "activation": nn.Sigmoid},
        {"projection_dim": 5, "cnn_blocks": 1},
        {"rnn_layers": 0, "dnn_blocks": 0, "cnn_kernelsize": (5, 3)},
    ],
    ids=str,
)
def test_hostile_plans_of_all_kinds_of_crdnn(style, changes):
    model = make_crdnn(**changes)
    small = check(model, plan_of(model, style), torch.randn(2, 12, 8))
    if style == "every other":
        assert list(small.state_dict()) == list(model.state_dict())


@settings(max_examples=20)
@given(
    data=st.data(),
    names=st.lists(st.sampled_from([*STAGES]), min_size=1, max_size=3),
    plane=st.booleans(),
)
def test_any_chain(data, names, plane):
    torch.manual_seed(0)
    blocks, channels = [], 1
    for name in names:
        size = data.draw(st.integers(2, 4))
        blocks += [
            Conv2d(size, 3, input_shape=[None, None, BANDS, channels]),
            *STAGES[name](size),
        ]
        channels = size
    blocks.append(
        Conv2d(2, 3, input_shape=[None, None, BANDS, channels])
        if plane
        else Linear(3, input_size=BANDS * channels, combine_dims=True)
    )
    model = randomize(nn.Sequential(*blocks))
    assert len(find_units(model)) == len(names)
    plan = drawn_plan(data, model)
    check(model, plan, torch.randn(2, 16, BANDS, 1))


def test_masking_is_zeroing_what_the_next_layers_take():
    """An oracle without gates, where no statistics mix channels."""
    model = randomize(
        nn.Sequential(
            Conv2d(4, 3, input_shape=[None, None, BANDS]),
            nn.Sigmoid(),
            Linear(3, input_size=BANDS * 4, combine_dims=True),
        )
    )
    plan = PruningPlan({"0": torch.tensor([True, False, True, False])})
    x = torch.randn(2, 7, BANDS)
    masked = apply_masks(copy.deepcopy(model), plan)(x)
    with torch.no_grad():
        model[2].w.weight.view(3, BANDS, 4)[..., ~plan.keep["0"]] = 0.0
    torch.testing.assert_close(masked, model(x))


def test_the_statistics_of_the_compact_norm_are_the_dense_ones():
    model = make_crdnn()
    small = compact(model, plan_of(model, "every other"))
    norm = small.CNN.block_0.norm_1.norm
    assert isinstance(norm, PartialLayerNorm)
    assert (norm.kept, norm.channels, norm.bands) == (3, 5, (8,))
    again = check(small, plan_of(small, "all but one"), torch.randn(2, 9, 8))
    assert again.CNN.block_0.norm_1.norm.channels == 5


def test_gates_train_the_channels():
    model = make_crdnn()
    schedule = RetentionSchedule(c_start=0.5, c_end=0.0)
    attach_adaptive_dropout(model, schedule, targets="conv").train()
    gates = adaptive_dropouts(model)
    assert list(gates) == CONVOLUTIONS
    output = model(torch.randn(4, 9, 8))
    (output * torch.randn_like(output)).sum().backward()
    assert all(gate.logits.grad.abs().sum() > 0 for gate in gates.values())
    for gate in gates.values():
        nn.init.normal_(gate.logits, std=0.3)
    plan = PruningPlan.from_retention(model.eval())
    x = torch.randn(2, 9, 8)
    assert (model(x) - compact(model, plan)(x)).abs().max() <= TOLERANCE


def test_a_size_is_solved_for():
    model = make_crdnn(cnn_channels=[16, 16])
    scores = {n: torch.rand(g.size) for n, g in find_units(model).items()}
    plan = PruningPlan.from_scores(scores, model, target_parameters=0.6)
    small = compact(model, plan)
    wanted = 0.6 * count_parameters(model)
    assert count_parameters(small) == pytest.approx(wanted, rel=0.03)
    rebuilt = compact(model, PruningPlan.from_widths(model, plan.widths(model)))
    shapes = {n: p.shape for n, p in rebuilt.named_parameters()}
    assert shapes == {n: p.shape for n, p in small.named_parameters()}


@pytest.mark.parametrize("style", STYLES)
def test_a_front_end_with_residuals(style):
    """Only what lies within a block has units: a residual ends it."""
    model = randomize(
        ConvolutionFrontEnd(
            (None, None, BANDS),
            num_blocks=2,
            num_layers_per_block=2,
            out_channels=(4, 3),
            kernel_sizes=(3, 3),
            strides=(1, 2),
            residuals=(True, False),
        )
    )
    names = [f"convblock_{block}.convs.conv_0" for block in (0, 1)]
    assert list(find_units(model)) == names
    check(model, plan_of(model, style), torch.randn(2, 9, BANDS))


def test_dead_channels_are_all_zero():
    model = make_crdnn()
    assert [g.least for g in find_units(model, "conv").values()] == [2, 1, 1, 1]
    small = compact(model, plan_of(model, "none left"))
    convolutions = [
        small.get_submodule(name).conv.weight for name in CONVOLUTIONS
    ]
    assert [len(weight) for weight in convolutions] == [2, 1, 1, 1]
    assert not any(weight.any() for weight in convolutions)
    assert not small.RNN.rnn.weight_ih_l0.any()


@pytest.mark.parametrize(
    "stages",
    [
        [Pooling1d("max", 2, input_dims=4, pool_axis=3)],
        [Pooling2d("avg", (2, 2), pool_axis=(2, 3))],
        [nn.PReLU(4)],
        [nn.Softmax(dim=-1)],
        [nn.BatchNorm2d(4), nn.Flatten()],
        [LayerNorm(input_size=[3, BANDS, 4])],
    ],
    ids=str,
)
def test_what_may_mix_channels_ends_the_chain(stages):
    first = Conv2d(4, 3, input_shape=[None, None, BANDS, 2])
    last = Linear(3, input_size=BANDS * 4, combine_dims=True)
    assert not find_units(nn.Sequential(first, *stages, last))


@pytest.mark.parametrize(
    "changes",
    [{"groups": 2}, {"max_norm": 1.0}, {"skip_transpose": True}],
    ids=str,
)
def test_convolutions_of_other_kinds_have_no_units(changes):
    first = Conv2d(4, 3, in_channels=2, **changes)
    last = Conv2d(2, 3, in_channels=4)
    assert not find_units(nn.Sequential(first, last))
    assert not find_units(nn.Sequential(last, first))


def test_a_convolution_that_is_used_twice_has_no_units():
    one, other = (Conv2d(4, 3, in_channels=4) for _ in range(2))
    assert list(find_units(nn.Sequential(one, nn.ReLU(), other))) == ["0"]
    assert not find_units(nn.Sequential(one, nn.ReLU(), one))

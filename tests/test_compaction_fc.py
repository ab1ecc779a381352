"""Fully connected chains: the compact model equals the masked one."""

import copy

import pytest
import speechbrain as sb
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from speechbrain.lobes.models.CRDNN import CRDNN
from speechbrain.nnet.activations import Swish
from speechbrain.nnet.normalization import BatchNorm1d, LayerNorm
from torch import nn

from speechbrain_neuronprune import (
    PruningPlan,
    RetentionSchedule,
    adaptive_dropouts,
    apply_masks,
    attach_adaptive_dropout,
    compact,
    find_units,
    steer_size,
)
from speechbrain_neuronprune.compaction import ParameterCounter
from speechbrain_neuronprune.models.time_frequency_cnn import TimeFrequencyCNN
from speechbrain_neuronprune.units import count_parameters

TOLERANCE = 1e-5
PLANS = ("random", "sparse", "one unit", "nothing", "everything", "first gone")

# What may stand between two Linear layers, given the number of units.
STAGES = {
    "nothing": lambda units: [],
    "relu": lambda units: [nn.ReLU()],
    "sigmoid": lambda units: [nn.Sigmoid(), nn.Dropout(0.3)],
    "swish": lambda units: [Swish()],
    "prelu": lambda units: [nn.PReLU()],
    "batch": lambda units: [BatchNorm1d(input_size=units), nn.LeakyReLU()],
    "batch last": lambda units: [
        nn.Tanh(),
        BatchNorm1d(input_size=units, combine_batch_time=True),
        nn.Dropout(0.1),
    ],
    "no affine": lambda units: [
        BatchNorm1d(input_size=units, affine=False),
        nn.LayerNorm(units, elementwise_affine=False),
        nn.GELU(),
    ],
    "layer": lambda units: [LayerNorm(input_size=units), nn.ReLU()],
    "layer last": lambda units: [nn.Sigmoid(), nn.LayerNorm(units)],
    "both": lambda units: [
        nn.LayerNorm(units, bias=False),
        nn.SiLU(),
        nn.LayerNorm(units),
        nn.Dropout(0.2),
    ],
}
# For (batch, units) only: torch counts units in dimension 1.
FLAT_STAGES = {
    "batch last": lambda units: [nn.BatchNorm1d(units), nn.ReLU()],
    "prelu": lambda units: [nn.PReLU(units), nn.LayerNorm(units)],
}


def randomize(model):
    """Values that matter for biases, norms and running statistics."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.normal_(0.3, 0.5)
        for name, buffer in model.named_buffers():
            if "running_mean" in name:
                buffer.normal_(0.2, 0.5)
            if "running_var" in name:
                buffer.uniform_(0.5, 2.0)
    return model.eval()


def make_plan(model, style, seed=0):
    generator = torch.Generator().manual_seed(seed)
    keep = {}
    for place, (name, group) in enumerate(find_units(model, "fc").items()):
        share = 0.1 if style == "sparse" else 0.5
        units = torch.rand(group.size, generator=generator) < share
        if style == "one unit":
            units = torch.arange(group.size) == int(units.sum()) - 1
        if style == "everything":
            units = torch.ones_like(units)
        if style == "nothing" or (style == "first gone" and place == 0):
            units = torch.zeros_like(units)
        keep[name] = units
    return PruningPlan(keep)


def check(model, plan, *inputs):
    """Masked equals compact, in numbers and in counted parameters."""
    small = compact(model, plan)
    masked = apply_masks(copy.deepcopy(model), plan)
    with torch.no_grad():
        one, two = masked(*inputs), small(*inputs)
    assert torch.isfinite(one).all()
    assert (one - two).abs().max() <= TOLERANCE
    assert ParameterCounter(model)(plan.keep) == count_parameters(small)
    return small


class TiedOutput(nn.Module):
    """A chain between an embedding and an output that shares its weight."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(20, 16)
        self.chain = nn.Sequential(
            nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 16)
        )
        self.output = nn.Linear(16, 20, bias=False)
        self.output.weight = self.embedding.weight

    def forward(self, x):
        return self.output(self.chain(self.embedding(x)))


def test_tied_weights_count_once_whatever_the_size_is_solved_by():
    model = TiedOutput()
    schedule = RetentionSchedule(steps=10)
    attach_adaptive_dropout(model, schedule)
    for gate in adaptive_dropouts(model).values():
        nn.init.normal_(gate.logits)
    wanted = pytest.approx(0.6 * count_parameters(model), rel=0.02)
    solved = PruningPlan.from_retention(model, target_parameters=0.6)
    assert count_parameters(check(model, solved, torch.arange(20))) == wanted
    steer_size(model, 0.6)
    schedule.advance(10)
    steered = PruningPlan.from_retention(model)
    assert count_parameters(compact(model, steered)) == wanted


def test_a_counter_takes_no_units_of_tied_layers():
    """Whose shapes stay whole, as in the model."""
    layers = [nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU()]
    model = nn.Sequential(*layers, nn.Linear(4, 4))
    model[4].weight = model[0].weight
    assert find_units(ParameterCounter(model).shapes) == find_units(model) == {}


def make_chain(stages, widths, bias, nested, wrapped):
    """Linear layers of some widths with named stages between them."""
    blocks, inputs = [], 4
    for stage, units in zip(stages, widths, strict=False):
        first = nn.Linear(inputs, units, bias=bias)
        if wrapped:
            first = sb.nnet.linear.Linear(units, input_size=inputs, bias=bias)
        blocks.append([first, *stage(units)])
        inputs = units
    blocks.append([nn.Linear(inputs, 3)])
    if nested:
        blocks = [[nn.Sequential(*block)] for block in blocks]
    return nn.Sequential(*[stage for block in blocks for stage in block])


@settings(max_examples=100)
@given(
    flat=st.booleans(),
    names=st.lists(st.sampled_from([*STAGES]), min_size=1, max_size=4),
    widths=st.lists(st.integers(1, 9), min_size=4, max_size=4),
    style=st.sampled_from(PLANS),
    options=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    seed=st.integers(0, 10**6),
)
def test_any_chain(flat, names, widths, style, options, seed):
    torch.manual_seed(seed)
    make = {**STAGES, **FLAT_STAGES} if flat else STAGES
    stages = [make[name] for name in names]
    model = randomize(make_chain(stages, widths, *options))
    assert len(find_units(model)) == len(stages)
    x = torch.randn(3, 4) if flat else torch.randn(2, 5, 4)
    check(model, make_plan(model, style, seed), x)


@pytest.mark.parametrize("style", PLANS)
@pytest.mark.parametrize("norm", [None, "batch", "layer"])
@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_time_frequency_cnn(style, norm, dropout):
    model = TimeFrequencyCNN(
        7,
        bands=12,
        time_filters=3,
        frequency_filters=4,
        fc_layers=3,
        fc_units=20,
        norm=norm,
        dropout=dropout,
    )
    x, lengths = torch.randn(2, 23, 12), torch.tensor([1.0, 0.6])
    randomize(model)
    check(model, make_plan(model, style), x, lengths)


@pytest.mark.parametrize("style", PLANS)
@pytest.mark.parametrize("changes", [{}, {"use_rnnp": True}], ids=str)
def test_crdnn_with_an_output_layer(style, changes):
    crdnn = CRDNN(
        input_shape=[None, None, 8],
        cnn_blocks=1,
        cnn_channels=[2],
        rnn_layers=1,
        rnn_neurons=6,
        dnn_blocks=2,
        dnn_neurons=10,
        projection_dim=5,
        **changes,
    )
    model = sb.nnet.containers.Sequential(
        crdnn=crdnn, output=sb.nnet.linear.Linear(4, input_size=10)
    )
    randomize(model)
    names = [f"crdnn.DNN.block_{block}.linear.w" for block in (0, 1)]
    assert list(find_units(model))[-2:] == names
    small = check(model, make_plan(model, style), torch.randn(2, 15, 8))
    if style == "random":
        assert list(small.state_dict()) == list(model.state_dict())


@pytest.mark.parametrize("stages", ["relu", "batch last", "prelu"])
def test_masking_is_zeroing_the_columns_of_the_next_layer(stages):
    """An oracle without gates, valid where no statistics mix units."""
    model = nn.Sequential(nn.Linear(4, 9), *STAGES[stages](9), nn.Linear(9, 3))
    randomize(model)
    plan, x = make_plan(model, "random"), torch.randn(2, 5, 4)
    masked = apply_masks(copy.deepcopy(model), plan)(x)
    with torch.no_grad():
        model[-1].weight[:, ~plan.keep["0"]] = 0.0
    torch.testing.assert_close(masked, model(x))


@pytest.mark.parametrize("stages", [*STAGES])
def test_a_removed_unit_has_no_influence(stages):
    """Changing what removed units own changes nothing in the masked model."""
    model = nn.Sequential(nn.Linear(4, 9), *STAGES[stages](9), nn.Linear(9, 3))
    randomize(model)
    plan, x = make_plan(model, "random"), torch.randn(2, 5, 4)
    apply_masks(model, plan)
    before, tensors = model(x), model.state_dict()
    for one in find_units(model)["0"].slices:
        index = one.index[~plan.keep["0"]].flatten()
        tensors[one.parameter].index_fill_(one.dim, index, 2.5)
    assert torch.equal(model(x), before)


def test_parameters_per_unit_add_up():
    """Removing units of one group saves what they own."""
    model = nn.Sequential(
        nn.Linear(4, 9), *STAGES["batch"](9), nn.LayerNorm(9), nn.Linear(9, 3)
    )
    plan = make_plan(model, "random")
    gone = int((~plan.keep["0"]).sum())
    saved = gone * find_units(model)["0"].parameters_per_unit
    small = compact(model, plan)
    assert count_parameters(model) - count_parameters(small) == saved


def test_retention_made_plan_equals_the_trained_gates():
    model = nn.Sequential(
        nn.Linear(4, 9),
        *STAGES["both"](9),
        nn.Linear(9, 8),
        nn.ReLU(),
        nn.Linear(8, 2),
    )
    schedule = RetentionSchedule(steps=1)
    gated = attach_adaptive_dropout(randomize(model), schedule).eval()
    schedule.advance()
    for gate in adaptive_dropouts(gated).values():
        nn.init.normal_(gate.logits)
    plan = PruningPlan.from_retention(gated)
    assert 0 < sum(int(keep.sum()) for keep in plan.keep.values()) < 17
    x = torch.randn(2, 5, 4)
    assert (gated(x) - compact(gated, plan)(x)).abs().max() <= TOLERANCE


def test_a_size_is_solved_for():
    model = nn.Sequential(
        nn.Linear(30, 60),
        nn.ReLU(),
        nn.Linear(60, 50),
        nn.ReLU(),
        nn.Linear(50, 10),
    )
    scores = {n: torch.rand(g.size) for n, g in find_units(model).items()}
    plan = PruningPlan.from_scores(scores, model, target_parameters=0.4)
    wanted = 0.4 * count_parameters(model)
    got = count_parameters(compact(model, plan))
    assert got == pytest.approx(wanted, rel=0.02)
    rebuilt = compact(model, PruningPlan.from_widths(model, plan.widths(model)))
    shapes = {n: p.shape for n, p in rebuilt.named_parameters()}
    small = compact(model, plan)
    assert shapes == {n: p.shape for n, p in small.named_parameters()}


def test_compacting_twice_changes_nothing_more():
    model = randomize(
        nn.Sequential(
            nn.Linear(4, 9),
            *STAGES["both"](9),
            nn.Linear(9, 8),
            nn.ReLU(),
            nn.Linear(8, 2),
        )
    )
    plan = make_plan(model, "random")
    small = compact(model, plan)
    again = compact(small, make_plan(small, "everything"))
    for one, two in zip(small.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, two)
    x = torch.randn(2, 5, 4)
    assert torch.equal(small(x), again(x))
    check(small, make_plan(small, "random"), x)


def test_the_compact_model_trains_on():
    model = nn.Sequential(nn.Linear(4, 9), *STAGES["batch"](9), nn.Linear(9, 3))
    small = compact(model.train(), make_plan(model, "random"))
    small(torch.randn(2, 5, 4)).square().sum().backward()
    assert all(
        p.grad.abs().sum() > 0
        for n, p in small.named_parameters()
        if n != "0.bias"
    )  # which batch normalisation takes away
    assert small[1].norm.num_batches_tracked == 1


def test_the_given_model_is_untouched():
    model = randomize(
        nn.Sequential(nn.Linear(4, 9), *STAGES["both"](9), nn.Linear(9, 3))
    )
    before = copy.deepcopy(model.state_dict())
    compact(model, make_plan(model, "random"))
    after = model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)

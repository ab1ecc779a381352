"""Steering to a size: wherever the logits go, c_end leaves that size.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import copy
import gc
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from speechbrain_neuronprune import (
    RetentionSchedule,
    adaptive_dropouts,
    apply_masks,
    attach_adaptive_dropout,
    compact,
    steer_size,
)
from speechbrain_neuronprune.errors import PlanError
from speechbrain_neuronprune.plan import PruningPlan
from speechbrain_neuronprune.settling import settle
from speechbrain_neuronprune.units import count_parameters

HOLD, DECLINE = 10, 100


def gated(*widths, steps=DECLINE, hold=HOLD, gamma=None):
    """A chain of fully connected layers, and its schedule."""
    sizes = [6, *(widths or (150, 90)), 4]
    layers = []
    for size, following in zip(sizes, sizes[1:], strict=False):
        layers += [nn.Linear(size, following), nn.ReLU()]
    chain = nn.Sequential(*layers[:-1])
    schedule = RetentionSchedule(10.0, -2.0, steps, hold)
    attach_adaptive_dropout(chain, schedule, gamma=gamma)
    return chain.train(), schedule


def share_left(model):
    """The paper's rule, and what it leaves."""
    small = compact(model, PruningPlan.from_retention(model))
    return count_parameters(small) / count_parameters(model)


class NoisyTraining:
    """Adam on the logits of a model. The loss likes some units more than
    others, all of them more if few are there, and is mostly noise."""

    def __init__(self, model, schedule):
        self.gates = list(adaptive_dropouts(model).values())
        self.schedule = schedule
        self.optimizer = torch.optim.Adam(
            [gate.logits for gate in self.gates], lr=0.02, weight_decay=6e-4
        )
        generator = torch.Generator().manual_seed(0)
        self.worth = [
            torch.randn(gate.shape, generator=generator).exp()
            for gate in self.gates
        ]

    def step(self, noise):
        chances = [gate.retention().detach() for gate in self.gates]
        need = 0.5 / torch.cat(chances).mean()
        for gate, worth, chance in zip(
            self.gates, self.worth, chances, strict=True
        ):
            push = need * worth + torch.randn(gate.shape, generator=noise)
            gate.logits.grad = -push * (chance * (1.0 - chance) + 0.01)
        self.optimizer.step()
        self.schedule.advance()

    def run(self, steps):
        for _ in range(steps):
            noise = torch.Generator().manual_seed(self.schedule.step)
            self.step(noise)


def randomise(model, seed=0, spread=1.0):
    generator = torch.Generator().manual_seed(seed)
    for gate in adaptive_dropouts(model).values():
        gate.logits.data.normal_(0.0, spread, generator=generator)
    return model


# --------------------------------------------------------------- the size


@pytest.mark.parametrize("target", [0.46, 0.3, 0.15])
def test_a_training_lands_and_stays(target):
    model, schedule = gated()
    steer_size(model, target)
    training = NoisyTraining(model, schedule)
    training.run(HOLD + DECLINE)
    for _ in range(5):
        assert share_left(model) == pytest.approx(target, rel=0.02)
        training.run(15)


def test_unsteered_the_same_training_goes_elsewhere():
    model, schedule = gated()
    NoisyTraining(model, schedule).run(HOLD + DECLINE + 60)
    assert share_left(model) > 0.8
    assert float(schedule.offset) == 0.0


@settings(max_examples=8)
@given(
    st.floats(0.1, 0.95),
    st.integers(0, 1000),
    st.sampled_from([1e-3, 1.0, 30.0]),
)
def test_any_logits_give_the_size(target, seed, spread):
    model, schedule = gated(120, 80)
    steer_size(randomise(model, seed, spread), target)
    schedule.advance(HOLD + DECLINE)
    assert share_left(model) == pytest.approx(target, rel=0.02)


@pytest.mark.parametrize("target", [0.6, 0.35, 0.2])
def test_what_folds_away_counts(make_encoder, target):
    """At small sizes whole heads go, with all that belongs to them."""
    encoder = make_encoder(d_model=32, d_ffn=64)
    schedule = RetentionSchedule(steps=40)
    attach_adaptive_dropout(encoder, schedule)
    for gate in adaptive_dropouts(encoder).values():
        # Whole heads and modules are worth less than others.
        gate.logits.data = torch.randn(gate.shape) + torch.randn(1)
    steer_size(encoder, target)
    schedule.advance(40)
    assert share_left(encoder) == pytest.approx(target, rel=0.02)


def test_the_rest_of_the_model_counts():
    model, schedule = gated()
    others = 2 * count_parameters(model)
    steer_size(randomise(model), 0.8, others=others)
    schedule.advance(HOLD + DECLINE)
    whole = others + share_left(model) * count_parameters(model)
    assert whole / (others + count_parameters(model)) == pytest.approx(
        0.8, rel=0.02
    )


def test_rounded_widths_have_the_size():
    model, schedule = gated(160, 96)
    steer_size(randomise(model), 0.5, round_to=8)
    schedule.advance(HOLD + DECLINE)
    plan = PruningPlan.from_retention(model, round_to=8)
    assert all(width % 8 == 0 for width in plan.widths(model).values())
    share = count_parameters(compact(model, plan)) / count_parameters(model)
    assert share == pytest.approx(0.5, rel=0.04)  # 8 units are 5 %


@pytest.mark.parametrize("target, kept", [(1.0, 150 + 90), (4, 0)])
def test_everything_and_nothing_are_sizes_too(target, kept):
    model, schedule = gated()
    # The four parameters that are always left: the bias of the last layer.
    steer_size(randomise(model), target)
    schedule.advance(HOLD + DECLINE)
    plan = PruningPlan.from_retention(model)
    assert sum(int(units.sum()) for units in plan.keep.values()) == kept


# --------------------------------------------------------------- the course


def test_the_offset_comes_with_the_decline():
    model, schedule = gated()
    steer_size(randomise(model), 0.1)
    schedule.advance(HOLD)
    assert schedule.c() == 10.0 and schedule.units == -1
    schedule.advance(DECLINE // 2)
    half, offset = schedule.c(), float(schedule.offset)
    assert offset < 0
    assert half == pytest.approx(4.0 + offset / 2)
    assert float(schedule.centre) == pytest.approx(half)


def test_steering_follows_what_follows_the_optimiser():
    model, schedule = gated(gamma=1e-3, steps=20, hold=0)
    steer_size(model, 0.4)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(30):
        optimizer.zero_grad()
        model(torch.randn(8, 6)).square().mean().backward()
        optimizer.step()
    assert schedule.step == 30
    assert share_left(model) == pytest.approx(0.4, rel=0.02)


def test_settled_units_need_no_offset():
    """However far the logits have gone together."""
    model, schedule = gated()
    steer_size(randomise(model), 0.4)
    for gate in adaptive_dropouts(model).values():
        gate.logits.data += 20.0
    schedule.advance(HOLD + DECLINE)
    assert float(schedule.offset) < -150
    keep = PruningPlan.from_retention(model).keep
    settle(model, keep)
    assert schedule.steering is None and schedule.c() == -2.0
    assert all(gate.settled for gate in adaptive_dropouts(model).values())
    settled = PruningPlan.from_retention(model).keep
    assert all(torch.equal(settled[name], keep[name]) for name in keep)


# --------------------------------------------------------------- checkpoints


def test_a_resumed_training_is_the_same_bit_by_bit():
    whole, schedule = gated()
    steer_size(whole, 0.3)
    training = NoisyTraining(whole, schedule)
    training.run(67)
    state = copy.deepcopy(whole.state_dict())
    optimizer = copy.deepcopy(training.optimizer.state_dict())
    training.run(80)

    resumed, schedule = gated()
    steer_size(resumed, 0.3)
    rest = NoisyTraining(resumed, schedule)
    resumed.load_state_dict(state)
    rest.optimizer.load_state_dict(optimizer)
    rest.run(80)
    for name, value in whole.state_dict().items():
        if "logits" in name or "schedule" in name:
            assert torch.equal(value, resumed.state_dict()[name]), name


def test_a_checkpoint_from_before_steering_loads():
    old, _ = gated()
    old = {
        name: value
        for name, value in old.state_dict().items()
        if not name.endswith(("offset", "steered_units"))
    }
    model, schedule = gated()
    schedule.lead(-3.0, 7)
    model.load_state_dict(old)  # strict
    assert (float(schedule.offset), schedule.units) == (0.0, -1)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, "pickle"])
def test_copies_of_a_model_are_steered_apart(duplicate):
    if duplicate == "pickle":

        def duplicate(model):
            return pickle.loads(pickle.dumps(model))

    model, schedule = gated()
    steer_size(randomise(model), 0.5)
    schedule.advance(HOLD + 5)
    twin = duplicate(model)
    randomise(twin, seed=1, spread=3.0)
    [one, *_] = adaptive_dropouts(twin).values()
    for _ in range(DECLINE):
        one.schedule.advance()
    assert share_left(twin) == pytest.approx(0.5, rel=0.02)
    assert schedule.step == HOLD + 5
    assert float(schedule.offset) != float(one.schedule.offset)


def test_a_gate_copied_alone_is_not_steered():
    model, _ = gated()
    steer_size(model, 0.5)
    [gate, *_] = adaptive_dropouts(model).values()
    assert copy.deepcopy(gate).schedule.steering is None


# --------------------------------------------------------------- other models


def test_gates_that_are_replaced_are_steered_around():
    model, schedule = gated()
    steer_size(randomise(model), 0.5)
    schedule.advance(HOLD + 5)
    name, gate = next(iter(adaptive_dropouts(model).items()))
    apply_masks(model, PruningPlan({name: torch.ones(gate.size).bool()}))
    for _ in range(DECLINE):
        schedule.advance()
    assert share_left(model) == pytest.approx(0.5, rel=0.02)


def test_without_gates_left_the_schedule_goes_on():
    model, schedule = gated()
    steer_size(randomise(model), 0.5)
    apply_masks(model, PruningPlan.from_retention(model))
    schedule.advance(HOLD + DECLINE)
    assert schedule.ended and schedule.units == -1
    del model
    gc.collect()
    schedule.advance()
    assert schedule.c() == -2.0


@pytest.mark.parametrize("target", [1e-6, 3, 10**7])
def test_a_target_out_of_reach_is_an_error_at_once(target):
    model, _ = gated()
    with pytest.raises(PlanError, match=f"target of {target} is out of reach"):
        steer_size(model, target)


def test_no_target_is_an_error():
    with pytest.raises(PlanError, match="target_parameters is None"):
        steer_size(gated()[0], None)


def test_one_size_needs_one_schedule():
    with pytest.raises(PlanError, match="have 0 schedules"):
        steer_size(nn.Linear(2, 2), 0.5)
    two = nn.ModuleList([gated()[0], gated()[0]])
    with pytest.raises(PlanError, match="have 2 schedules"):
        steer_size(two, 0.5)

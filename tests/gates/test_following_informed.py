"""Informed gates that begin by themselves, as they follow an optimiser.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from speechbrain_neuronprune import (
    PruningPlan,
    RetentionSchedule,
    adaptive_dropouts,
    attach_adaptive_dropout,
    compact,
    steer_size,
)
from speechbrain_neuronprune.errors import TrainingError
from speechbrain_neuronprune.gates import following
from speechbrain_neuronprune.gates.informed import InformedDropout
from speechbrain_neuronprune.informing import (
    SPREAD,
    inform,
    noted_importance,
)
from speechbrain_neuronprune.shrinking import grow, shrink

HOLD = 3


def make(gamma=1e-3, hold=HOLD, steps=5):
    """Two groups whose units own 9 and 10 parameters."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(3, 7), nn.Tanh(), nn.Linear(7, 5), nn.Tanh(), nn.Linear(5, 2)
    )
    schedule = RetentionSchedule(10.0, 0.0, steps=steps, hold=hold)
    attach_adaptive_dropout(
        model, schedule, gamma=gamma, gate=InformedDropout, scale=20.0
    )
    return model.train(), schedule


def gates_of(model):
    return list(adaptive_dropouts(model).values())


def train(model, optimizer, steps, before=lambda: None):
    for seed in range(steps):
        torch.manual_seed(seed)
        optimizer.zero_grad()
        model(torch.randn(4, 3)).square().sum().backward()
        before()
        optimizer.step()


def test_they_note_while_c_holds_and_begin_when_it_ends():
    model, schedule = make()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    train(model, optimizer, HOLD - 1)
    for gate in gates_of(model):
        assert not gate.informed and gate.logits.eq(0).all()
        assert (gate.importance > 0).all()
        assert gate(torch.ones(2, gate.size)).eq(1).all()
        assert gate.logits not in optimizer.state  # begins afresh
    train(model, optimizer, 1)
    assert schedule.step == HOLD
    noted = noted_importance(model).values()
    order = torch.cat(list(noted)).argsort()
    betas = torch.cat([gate.beta() for gate in gates_of(model)])
    assert (betas[order].diff() > 0).all()
    assert (betas - schedule.c()).std().item() == pytest.approx(SPREAD, rel=0.1)
    assert all(gate.informed for gate in gates_of(model))
    train(model, optimizer, 1)
    for gate in gates_of(model):
        assert optimizer.state[gate.logits]["step"] == 1


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adam])
def test_they_learn_what_they_would_in_a_loop_that_informs_them(kind):
    followed, schedule = make()
    by_hand, other = make(gamma=None)
    logits = [gate.logits for gate in gates_of(by_hand)]
    optimizers = [kind(m.parameters(), lr=1e-2) for m in (followed, by_hand)]

    def pull():
        for one in logits:
            if one.grad is not None:
                one.grad += 2e-3 * one.detach()

    for _ in range(HOLD + 4):
        train(followed, optimizers[0], 1)
        train(by_hand, optimizers[1], 1, pull)
        other.advance()
        if other.step == HOLD:
            inform(by_hand, noted_importance(by_hand))
    assert schedule.step == other.step == HOLD + 4
    ours, theirs = followed.state_dict(), by_hand.state_dict()
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        torch.testing.assert_close(value, theirs[name])


@pytest.mark.parametrize("stop", [HOLD - 1, HOLD, HOLD + 2])
def test_a_run_that_was_stopped_goes_on_alike(stop):
    whole, _ = make()
    optimizer = torch.optim.Adam(whole.parameters())
    train(whole, optimizer, stop)
    saved = copy.deepcopy((whole.state_dict(), optimizer.state_dict()))
    train(whole, optimizer, 3)
    again, _ = make()
    optimizer = torch.optim.Adam(again.parameters())
    again.load_state_dict(saved[0])
    optimizer.load_state_dict(saved[1])
    informed = [gate.informed for gate in gates_of(again)]
    assert informed == [stop >= HOLD] * 2
    train(again, optimizer, 3)
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value)


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))]
)
def test_a_copy_waits_and_begins_by_itself(copied):
    model, _ = make()
    train(model, torch.optim.Adam(model.parameters()), 1)
    other = copied(model)
    train(other, torch.optim.Adam(other.parameters()), HOLD - 1)
    assert all(gate.informed for gate in gates_of(other))
    assert not any(gate.informed for gate in gates_of(model))


def test_data_parallel_training_misses_no_gradient(process_group):
    """It would raise in the step after the one that left a parameter out."""
    model, schedule = make()
    wrapped = DistributedDataParallel(model)
    optimizer = torch.optim.Adam(wrapped.parameters())
    train(wrapped, optimizer, HOLD + 2)
    assert schedule.step == HOLD + 2
    assert all(gate.logits.grad.ne(0).any() for gate in gates_of(model))


def test_a_gate_that_was_frozen_or_settled_does_not_begin():
    model, schedule = make()
    first, second = gates_of(model)
    first.logits.requires_grad_(False)
    train(model, torch.optim.Adam(model.parameters()), HOLD)
    assert schedule.step == HOLD
    assert first.logits.eq(0).all() and second.informed
    model, schedule = make()
    first, second = gates_of(model)
    first.settle(torch.arange(7) < 4)
    before = first.logits.clone()
    train(model, torch.optim.Adam(model.parameters()), HOLD)
    assert first.logits.equal(before) and second.informed
    assert first(torch.ones(1, 7)).sum() == 4


def test_a_gate_that_was_frozen_for_the_hold_begins_when_it_learns():
    model, _ = make()
    first, _ = gates_of(model)
    first.logits.requires_grad_(False)
    optimizer = torch.optim.Adam(model.parameters())
    train(model, optimizer, HOLD + 1)
    again, _ = make()
    again.load_state_dict(model.state_dict())
    assert [gate.informed for gate in gates_of(again)] == [False, True]
    first.logits.requires_grad_(True)
    train(model, optimizer, 1)
    assert first.informed and first.logits.unique().numel() == 7


def test_a_shorter_hold_is_over_when_the_run_goes_on():
    model, _ = make()
    train(model, torch.optim.Adam(model.parameters()), HOLD - 1)
    again, schedule = make(hold=1)
    again.load_state_dict(model.state_dict())
    assert schedule.step == HOLD - 1 > schedule.hold
    train(again, torch.optim.Adam(again.parameters()), 1)
    betas = torch.cat([gate.beta() for gate in gates_of(again)])
    assert betas.std().item() == pytest.approx(SPREAD, rel=0.1)


def test_gates_that_noted_nothing_do_not_begin():
    model, _ = make()
    optimizer = torch.optim.Adam(model.parameters())
    gates_of(model)[0].eval()
    train(model, optimizer, HOLD - 1)
    with pytest.raises(TrainingError, match="1 of 2 informed gates have noted"):
        train(model, optimizer, 1)


def test_only_gates_that_are_followed_wait_for_it():
    model, schedule = make()
    other = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    attach_adaptive_dropout(other.train(), schedule, gate=InformedDropout)
    train(model, torch.optim.Adam(model.parameters()), HOLD + 2)
    [gate] = gates_of(other)
    assert not gate.informed and gate(torch.ones(1, 3)).eq(1).all()
    gate.begin(torch.tensor([-9.0, 0.0, 9.0]))
    assert gate.informed


def test_gates_that_were_replaced_are_not_ranked():
    model, schedule = make()
    before = gates_of(model)
    attach_adaptive_dropout(
        model, schedule, gamma=1e-3, gate=InformedDropout, scale=20.0
    )
    train(model, torch.optim.Adam(model.parameters()), HOLD)
    betas = torch.cat([gate.beta() for gate in gates_of(model)])
    assert (betas - schedule.c()).mean().item() == pytest.approx(0.0, abs=0.01)
    assert not any(gate.informed for gate in before)


def test_a_run_may_have_begun_with_gates_that_note_nothing():
    model, _ = make()
    state = model.state_dict()
    for name in [name for name in state if name.endswith("importance")]:
        del state[name]
    make()[0].load_state_dict(state)


def test_attaching_on_the_meta_device():
    with torch.device("meta"):
        model, _ = make()
    assert all(gate.waits for gate in gates_of(model))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_other_precisions(dtype):
    model, _ = make()
    model.to(dtype)
    model(torch.randn(4, 3, dtype=dtype)).square().sum().backward()
    assert all(gate.importance.any() for gate in gates_of(model))


def test_followers_keep_their_order():
    """In all processes the first schedule has to be the first to share."""
    models = [make() for _ in range(20)]
    schedules = [schedule for _, schedule in models]
    known = [follower.schedule for follower in following._FOLLOWERS]
    assert [one for one in known if one in schedules] == schedules


def test_a_size_is_steered_to():
    model, schedule = make(steps=4)
    steer_size(model, 0.6)
    train(model, torch.optim.Adam(model.parameters()), HOLD + 6)
    plan = PruningPlan.from_retention(model)
    kept = sum(p.numel() for p in compact(model, plan).parameters())
    whole = sum(p.numel() for p in compact(model, PruningPlan({})).parameters())
    assert kept / whole == pytest.approx(0.6, abs=0.06)


def test_nothing_is_noted_in_a_hold_of_no_steps():
    with pytest.raises(TrainingError, match="holds for 0 steps, of which 0"):
        make(hold=0)


@pytest.mark.parametrize("steps", [HOLD - 1, HOLD + 1])
def test_a_model_that_shrinks_and_grows_goes_on(steps):
    """Its gates still wait, or have begun."""
    model, _ = make()
    optimizer = torch.optim.Adam(model.parameters())
    train(model, optimizer, steps)
    shrink(model, PruningPlan({"0": torch.arange(7) < 4}), [optimizer])
    train(model, optimizer, 1)
    assert [gate.size for gate in gates_of(model)] == [4, 5]
    assert [gate.cost for gate in gates_of(model)] == [9, 7]
    assert all(gate.informed for gate in gates_of(model))
    grow(model)
    gates = gates_of(model)
    assert all(gate.informed for gate in gates)
    assert [gate.cost for gate in gates] == [9, 10]
    follower = gates[0].schedule.follower
    assert [gate for gate, _ in follower.pulls] == gates
    before = [gate.logits.clone() for gate in gates_of(model)]
    train(model, optimizer, 1)
    for gate, logits in zip(gates_of(model), before, strict=True):
        assert (gate.logits != logits).any()


def test_units_that_left_in_the_hold_stay_away():
    model, _ = make()
    optimizer = torch.optim.Adam(model.parameters())
    train(model, optimizer, 1)
    shrink(model, PruningPlan({"0": torch.arange(7) < 4}), [optimizer])
    whole, _ = make()
    whole.load_state_dict(model.state_dict())
    assert not any(gate.informed for gate in gates_of(whole))
    train(whole, torch.optim.Adam(whole.parameters()), HOLD)
    first, _ = gates_of(whole)
    assert first.informed
    assert first(torch.ones(1, 7))[0, 4:].eq(0).all()


def test_a_frozen_gate_stays_frozen_when_a_model_grows():
    model, _ = make()
    gates_of(model)[1].logits.requires_grad_(False)
    shrink(model, PruningPlan({"0": torch.arange(7) < 4}))
    grow(model)
    learns = [gate.logits.requires_grad for gate in gates_of(model)]
    assert learns == [True, False]

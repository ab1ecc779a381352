"""Schedules and penalties that follow an optimiser.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import copy
import gc
import pickle
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from speechbrain_neuronprune import (
    AdaptiveDropout,
    RetentionSchedule,
    adaptive_dropouts,
    apply_masks,
    attach_adaptive_dropout,
    compact,
)
from speechbrain_neuronprune.errors import TrainingError
from speechbrain_neuronprune.gates import following
from speechbrain_neuronprune.gates.following import follow_optimizer
from speechbrain_neuronprune.plan import PruningPlan

OPTIMIZERS = [
    (torch.optim.SGD, {"momentum": 0.9}),
    (torch.optim.Adam, {}),
    (torch.optim.AdamW, {}),
    (torch.optim.Adadelta, {}),
]


def make(steps=10, gamma=None, **options):
    """A small gated chain, and its schedule."""
    torch.manual_seed(0)
    chain = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2))
    schedule = RetentionSchedule(10.0, -2.0, steps=steps)
    attach_adaptive_dropout(chain, schedule, gamma=gamma, **options)
    return chain.train(), schedule


def logits_of(model):
    (gate,) = adaptive_dropouts(model).values()
    return gate.logits


def schedule_of(model):
    (gate,) = adaptive_dropouts(model).values()
    return gate.schedule


def backward(model, seed=0):
    torch.manual_seed(seed)
    model(torch.randn(4, 3)).square().sum().backward()


def step(model, optimizer, seed=0):
    optimizer.zero_grad()
    backward(model, seed)
    optimizer.step()


def test_each_step_of_the_optimizer_counts_once():
    model, schedule = make(gamma=0.0)
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(4):
        step(model, optimizer)
    assert schedule.step == 4
    assert float(schedule.centre) == pytest.approx(schedule(4))


def test_accumulated_gradients_count_once():
    model, schedule = make(gamma=1e-3)
    optimizer = torch.optim.Adam(model.parameters())
    for batch in range(6):
        backward(model, batch)
        if batch % 3 == 2:
            optimizer.step()
            optimizer.zero_grad()
    assert schedule.step == 2


def test_nobody_follows_without_gamma():
    model, schedule = make()
    step(model, torch.optim.Adam(model.parameters()))
    assert schedule.step == 0


@pytest.mark.parametrize(("kind", "options"), OPTIMIZERS)
def test_the_penalty_is_coupled_weight_decay(kind, options):
    """The same trajectory as by hand: 2 * gamma * beta' in the gradient, no
    other decay of the logits, and c(t) advanced after every step."""
    gamma = 0.05
    followed, _ = make(gamma=gamma)
    by_hand, schedule = make()
    with torch.no_grad():
        logits_of(followed).fill_(0.3)
        logits_of(by_hand).fill_(0.3)
    optimizer = kind(
        followed.parameters(), lr=0.05, weight_decay=0.1, **options
    )
    logits = logits_of(by_hand)
    weights = [p for p in by_hand.parameters() if p is not logits]
    groups = [{"params": weights, "weight_decay": 0.1}, {"params": [logits]}]
    reference = kind(groups, lr=0.05, weight_decay=0.0, **options)
    for seed in range(5):
        step(followed, optimizer, seed)
        reference.zero_grad()
        backward(by_hand, seed)
        logits.grad += 2 * gamma * logits.detach()
        reference.step()
        schedule.advance()
    ours, theirs = followed.state_dict(), by_hand.state_dict()
    assert ours.keys() == theirs.keys()
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name])


@pytest.mark.parametrize(("kind", "options"), OPTIMIZERS)
def test_weight_decay_alone_leaves_the_logits_alone(kind, options):
    model, _ = make(gamma=0.0)
    logits = logits_of(model)
    nn.init.constant_(logits, 0.5)
    optimizer = kind(model.parameters(), lr=0.1, weight_decay=0.5, **options)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    before = model[0].weight.detach().clone()
    optimizer.step()
    assert logits.eq(0.5).all()
    assert not torch.equal(model[0].weight, before)


def test_the_groups_of_the_optimizer_come_back():
    model, _ = make(gamma=1e-3)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.1)
    (group,), parameters = optimizer.param_groups, list(model.parameters())
    step(model, optimizer)
    assert optimizer.param_groups == [group]
    assert [id(p) for p in group["params"]] == [id(p) for p in parameters]


class Failing(torch.optim.SGD):
    """An optimiser that runs out of memory."""

    def step(self, closure=None):
        raise MemoryError


def test_the_groups_come_back_after_a_failed_step():
    model, schedule = make(gamma=1e-3)
    optimizer = Failing(model.parameters(), weight_decay=0.1)
    for _ in range(2):
        with pytest.raises(MemoryError):
            step(model, optimizer)
        assert len(optimizer.param_groups) == 2
    assert schedule.step == 0
    following._join_groups(optimizer)
    (group,) = optimizer.param_groups
    assert len(group["params"]) == len(list(model.parameters()))


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.LBFGS])
@pytest.mark.parametrize("by_name", [False, True])
def test_a_closure_makes_gradients_with_the_penalty(kind, by_name):
    schedule = RetentionSchedule(steps=10)
    gate = AdaptiveDropout(3, schedule=schedule)
    follow_optimizer(schedule, [gate], gamma=0.5)
    nn.init.ones_(gate.logits)
    optimizer = kind(gate.parameters(), lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = 0.0 * gate.logits.sum()
        loss.backward()
        return loss

    if by_name:
        loss = optimizer.step(closure=closure)
    else:
        loss = optimizer.step(closure)
    assert loss == 0.0 and schedule.step == 1
    assert gate.logits.lt(0.99).all()
    assert not gate.logits.grad.requires_grad


class Wrapper(torch.optim.Optimizer):
    """An optimiser that steps another one, as Lookahead and SAM do, with the
    same list of groups or one of its own."""

    def __init__(self, inner, shares=True):
        super().__init__(inner.param_groups, {})
        self.inner = inner
        if shares:
            self.param_groups = inner.param_groups

    def step(self, closure=None):
        if closure is not None:  # as SAM, with gradients from elsewhere
            with torch.enable_grad():
                closure()
        return self.inner.step()


@pytest.mark.parametrize("shares", [True, False])
@pytest.mark.parametrize("closes", [True, False])
def test_a_step_within_a_step_is_one(shares, closes):
    """The same as the inner optimiser's alone."""
    trained = []
    for wraps in (False, True):
        model, schedule = make(gamma=0.05)
        nn.init.constant_(logits_of(model), 0.3)
        optimizer = torch.optim.SGD(
            model.parameters(), lr=0.1, weight_decay=0.1
        )
        inner = optimizer
        if wraps:
            optimizer = Wrapper(inner, shares)
        for seed in range(3):
            optimizer.zero_grad()
            if closes and wraps:
                optimizer.step(partial(backward, model, seed))
            else:
                backward(model, seed)
                optimizer.step()
        assert schedule.step == 3
        assert len(inner.param_groups) == len(optimizer.param_groups) == 1
        trained.append(model.state_dict())
    for name, value in trained[0].items():
        torch.testing.assert_close(value, trained[1][name])


def test_an_optimizer_goes_on_after_a_failed_step_of_another():
    (one, first), (two, second) = make(gamma=1e-3), make(gamma=1e-3)
    failing = Failing(one.parameters())
    with pytest.raises(MemoryError):
        step(one, failing)
    step(two, torch.optim.Adam(two.parameters()))
    assert (first.step, second.step) == (0, 1)


def test_another_optimizer_goes_on_after_a_failed_step():
    """The failed one is still there, as it is in a notebook."""
    model, schedule = make(gamma=1e-3)
    failing = Failing(model.parameters())
    with pytest.raises(MemoryError):
        step(model, failing)
    another = torch.optim.Adam(model.parameters())
    for _ in range(3):
        step(model, another)
    assert schedule.step == 3 and failing.param_groups


@pytest.mark.parametrize("fused", [False, True])
def test_a_step_that_the_scaler_skips_does_not_count(fused):
    model, schedule = make(gamma=0.05)
    logits = logits_of(model)
    nn.init.constant_(logits, 0.5)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1, fused=fused)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    scaler.scale(torch.zeros(()))  # makes the scale
    logits.grad.fill_(float("inf"))
    scaler.step(optimizer)
    scaler.update()
    assert schedule.step == 0
    assert logits.eq(0.5).all()
    logits.grad.zero_()
    scaler.step(optimizer)
    assert schedule.step == 1
    assert logits.lt(0.5).all()


def test_a_fused_optimizer_scales_the_penalty_back():
    """Gradients that are still scaled get a scaled penalty."""
    moved = []
    for fused in (False, True):
        model, _ = make(gamma=0.5)
        logits = logits_of(model)
        nn.init.constant_(logits, 0.5)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, fused=fused)
        scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
        torch.manual_seed(0)
        scaler.scale(model(torch.randn(4, 3)).sum()).backward()
        scaler.step(optimizer)
        moved.append(logits.detach().clone())
    torch.testing.assert_close(*moved)


def test_two_models_do_not_mix():
    (one, first), (two, second) = make(gamma=1e-3), make(gamma=1e-3)
    optimizer = torch.optim.Adam(one.parameters())
    torch.optim.Adam(two.parameters())
    for _ in range(3):
        step(one, optimizer)
    assert (first.step, second.step) == (3, 0)


def test_two_schedules_in_one_optimizer():
    (one, first), (two, second) = make(gamma=0.1), make(gamma=0.2)
    both = nn.ModuleList([one, two])
    optimizer = torch.optim.AdamW(both.parameters(), weight_decay=0.1)
    backward(one)
    backward(two)
    optimizer.step()
    assert (first.step, second.step) == (1, 1)
    (group,) = optimizer.param_groups
    assert len(group["params"]) == len(list(both.parameters()))


def test_a_schedule_in_two_modules_and_two_optimizers_counts_once():
    schedule = RetentionSchedule(steps=10)
    models = []
    for _ in range(2):
        model, _ = make()
        attach_adaptive_dropout(model, schedule, gamma=0.01)
        models.append(model)
    optimizers = [torch.optim.Adam(model.parameters()) for model in models]
    for model, optimizer in zip(models, optimizers, strict=True):
        step(model, optimizer)
    assert schedule.step == 1


def test_an_optimizer_without_the_logits_does_not_count():
    model, schedule = make(gamma=1e-3)
    weights = [p for p in model.parameters() if p is not logits_of(model)]
    step(model, torch.optim.Adam(weights))
    assert schedule.step == 0


def test_attaching_again_goes_on():
    model, schedule = make(gamma=1e-3)
    attach_adaptive_dropout(model, schedule, gamma=1e-3)
    step(model, torch.optim.Adam(model.parameters()))
    assert schedule.step == 1


@pytest.mark.parametrize(
    "duplicate",
    [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))],
    ids=["deepcopy", "pickle"],
)
def test_a_copy_follows_its_own_optimizer(duplicate):
    model, schedule = make(gamma=1e-3)
    second = duplicate(model)
    step(second, torch.optim.Adam(second.parameters()))
    assert (schedule.step, schedule_of(second).step) == (0, 1)
    step(model, torch.optim.Adam(model.parameters()))
    assert (schedule.step, schedule_of(second).step) == (1, 1)


def test_nothing_is_left_of_a_model_that_is_gone():
    gc.collect()
    before = len(following._FOLLOWERS)
    model, schedule = make(gamma=1e-3)
    assert len(following._FOLLOWERS) == before + 1
    del model, schedule
    gc.collect()
    assert len(following._FOLLOWERS) == before


def test_moved_models_are_followed():
    """Parameters stay the same objects when a model is moved or converted,
    also after the optimiser was made."""
    model, schedule = make(gamma=1e-3)
    optimizer = torch.optim.Adam(model.parameters())
    model.double().float()
    step(model, optimizer)
    assert schedule.step == 1


def test_wrapped_models_are_followed(process_group):
    model, schedule = make(gamma=1e-3)
    wrapped = DistributedDataParallel(model)
    step(wrapped, torch.optim.Adam(wrapped.parameters()))
    assert schedule.step == 1


def test_checkpoints_carry_the_step_on():
    model, schedule = make(gamma=1e-3)
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(3):
        step(model, optimizer)
    fresh, later = make(gamma=1e-3)
    fresh.load_state_dict(model.state_dict())
    assert later.step == 3
    torch.testing.assert_close(logits_of(fresh), logits_of(model))
    step(fresh, torch.optim.Adam(fresh.parameters()))
    assert (schedule.step, later.step) == (3, 4)


def test_a_followed_model_is_compacted():
    model, _ = make(gamma=1e-3)
    small = compact(model, PruningPlan.from_retention(model))
    assert not adaptive_dropouts(small)


@pytest.mark.parametrize("gamma", [-1.0, float("nan"), float("inf")])
def test_impossible_penalties_are_named(gamma):
    with pytest.raises(TrainingError, match=f"gamma={gamma}"):
        make(gamma=gamma)


@given(st.lists(st.floats(-3, 3, width=32), min_size=1, max_size=6))
def test_without_a_loss_the_penalty_halves(values):
    """SGD with lr = 1 / (4 * gamma) takes half of each logit away."""
    schedule = RetentionSchedule(steps=10)
    gate = AdaptiveDropout(len(values), schedule=schedule)
    follow_optimizer(schedule, [gate], gamma=0.125)
    gate.logits.data = torch.tensor(values)
    gate.logits.grad = torch.zeros(len(values))
    torch.optim.SGD(gate.parameters(), lr=2.0).step()
    torch.testing.assert_close(gate.logits.data, torch.tensor(values) / 2)


def test_gates_that_are_replaced_set_no_pace():
    """Otherwise c(t) would stand still, without a word."""
    torch.manual_seed(0)
    model = nn.Sequential(*(nn.Linear(3, 3) for _ in range(3)))
    schedule = RetentionSchedule(steps=10)
    attach_adaptive_dropout(model, schedule, gamma=1e-3)
    for name, steps in [("1", 1), ("0", 1)]:  # then no gate is left
        everything = torch.ones(3, dtype=torch.bool)
        apply_masks(model, PruningPlan({name: everything}))
        step(model, torch.optim.Adam(model.parameters()))
        assert schedule.step == steps


def test_frozen_logits_set_no_pace():
    """As while a model with gates is adapted, with frozen gates."""
    model, schedule = make(gamma=0.0)
    optimizer = torch.optim.Adam(model.parameters())
    logits_of(model).requires_grad_(False)
    step(model, optimizer)
    assert schedule.step == 0
    logits_of(model).requires_grad_(True)
    step(model, optimizer)
    assert schedule.step == 1


def test_the_last_gate_that_learns_sets_the_pace():
    (one, schedule), (two, _) = make(gamma=1e-3), make(gamma=1e-3)
    attach_adaptive_dropout(two, schedule, gamma=1e-3)
    two.requires_grad_(False)
    step(one, torch.optim.Adam(one.parameters()))
    assert schedule.step == 1

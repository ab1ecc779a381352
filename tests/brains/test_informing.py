"""A recogniser whose gates are informed when the decline begins."""

import pytest
import torch

from speechbrain_neuronprune import adaptive_dropouts
from speechbrain_neuronprune.errors import TrainingError
from tests.tiny_run import rival_brain

GATE = "!name:speechbrain_neuronprune.gates.informed.InformedDropout"


@pytest.fixture
def make(tmp_path):
    def of(hold, **changes):
        brain = rival_brain(tmp_path, gate=GATE, hold_steps=hold, **changes)
        brain.init_optimizers()
        return brain

    return of


def gates_of(brain):
    return list(adaptive_dropouts(brain.pruned).values())


def take_steps(brain, number):
    """Steps after which a gate's later units have mattered more, and whose
    gradients want all units to stay."""
    for _ in range(number):
        for gate in gates_of(brain):
            rising = torch.arange(1.0, gate.size + 1)
            gate.importance.copy_(rising.view_as(gate.importance))
            if gate.logits.requires_grad:
                gate.logits.grad = torch.full_like(gate.logits, -1.0)
        brain.optimizers_step()


def test_logits_begin_when_the_hold_is_over(make):
    brain = make(3)
    take_steps(brain, 2)
    for gate in gates_of(brain):
        assert not gate.informed and gate.logits.eq(0).all()
    take_steps(brain, 1)
    for gate in gates_of(brain):
        assert gate.informed
        assert (gate.logits.flatten().diff() > 0).all()
    begun = [gate.logits.detach().clone() for gate in gates_of(brain)]
    take_steps(brain, 1)
    for gate, before in zip(gates_of(brain), begun, strict=True):
        assert not gate.logits.equal(before)  # now they learn


def test_the_spread_is_an_option(make):
    near, far = make(1, inform_spread=1.0), make(1)
    for brain in (near, far):
        take_steps(brain, 1)
    for one, two in zip(gates_of(near), gates_of(far), strict=True):
        assert torch.allclose(4 * one.logits, two.logits, atol=1e-5)


def test_a_run_goes_on_where_it_was(make):
    brain = make(3)
    take_steps(brain, 5)
    state = brain.pruned.state_dict()
    other = make(3)
    other.pruned.load_state_dict(state)
    assert not gates_of(other)[0].informed
    other._stay_informed()
    for one, two in zip(gates_of(brain), gates_of(other), strict=True):
        assert two.informed and one.logits.equal(two.logits)
    early = make(9)
    early._stay_informed()
    assert not any(gate.informed for gate in gates_of(early))


def test_without_a_hold_there_is_nothing_to_note(make):
    with pytest.raises(TrainingError, match="holds for 0 steps; give hold_st"):
        make(0)._check_informing()

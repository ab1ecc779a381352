"""Tests of gates that become adaptive dropout."""

import pytest
import torch

from speechbrain_neuronprune import AdaptiveDropout, RetentionSchedule
from speechbrain_neuronprune.gates.informed import InformedDropout
from speechbrain_neuronprune.gates.open_gate import OpenGate


def make_gate(kind, size=4, c=0.0):
    schedule = RetentionSchedule(c_start=c, c_end=c, hold=5)
    return kind(size, schedule=schedule)


def outcome(gate, x):
    """What comes out, and what the gate learns, under a fixed seed."""
    torch.manual_seed(3)
    out = gate(x)
    out.square().sum().backward()
    return out.detach(), gate.logits.grad


def test_before_it_begins_it_is_an_open_gate():
    x = torch.randn(3, 5, 4)
    ours, other = make_gate(InformedDropout), make_gate(OpenGate)
    for gate in (ours, other):
        out, learned = outcome(gate, x)
        assert out.equal(x) and learned is None
    assert ours.importance.equal(other.importance)
    assert (ours.importance > 0).all() and not ours.informed


def test_afterwards_it_is_adaptive_dropout():
    x, logits = torch.randn(3, 5, 4), torch.linspace(-0.2, 0.2, 4)
    ours, other = make_gate(InformedDropout), make_gate(AdaptiveDropout)
    ours.begin(logits)
    other.logits.data.copy_(logits)
    for one, two in zip(outcome(ours, x), outcome(other, x), strict=True):
        assert one.equal(two)
    assert ours.informed and ours.importance.equal(torch.zeros(4))
    torch.manual_seed(3)
    masks = ours.mask(50)
    torch.manual_seed(3)
    assert masks.equal(other.mask(50)) and 0 < masks.mean() < 1


@pytest.mark.parametrize("settle", [False, True])
def test_a_run_that_goes_on(settle):
    first = make_gate(InformedDropout)
    first.begin(torch.linspace(-0.2, 0.2, 4))
    if settle:
        first.settle(torch.tensor([True, False, True, True]))
    again = make_gate(InformedDropout)
    again.load_state_dict(first.state_dict())
    if settle:
        assert again.informed and not again.draws
        assert again(torch.ones(1, 4)).tolist() == [[1, 0, 1, 1]]
    else:
        again.begin()
        assert again.informed and again.logits.equal(first.logits)


def test_evaluation_decides_as_ever():
    gate = make_gate(InformedDropout).eval()
    gate.begin(torch.tensor([-0.1, 0.1, 0.2, -0.2]))
    assert gate(torch.ones(1, 4)).tolist() == [[0, 1, 1, 0]]

"""Tests of gates that only measure.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import torch

from speechbrain_neuronprune import RetentionSchedule
from speechbrain_neuronprune.gates.open_gate import MEMORY, OpenGate


def make_gate(size):
    return OpenGate(size, schedule=RetentionSchedule(c_start=1.0, c_end=-2.0))


def loss_of(x, gate, weight):
    """A mean over utterances of something that is not linear."""
    return (gate(x).double() @ weight).tanh().sum(1).mean()


def test_nothing_is_closed_and_nothing_changed():
    gate, x = make_gate(4), torch.randn(3, 5, 4)
    assert gate(x).equal(x)
    assert gate.eval()(x).equal(x)


def test_importance_is_what_the_first_order_says():
    torch.manual_seed(0)
    gate, weight = make_gate(4), torch.randn(4, 2).double()
    x = torch.randn(3, 4).double()
    loss_of(x, gate, weight).backward()
    # By differences: of each utterance's own loss, when a unit is scaled
    step = 1e-6
    wanted = torch.zeros(4).double()
    for unit in range(4):
        more = x.clone()
        more[:, unit] *= 1 + step
        change = (more @ weight).tanh().sum(1) - (x @ weight).tanh().sum(1)
        wanted[unit] = (change / step).abs().mean()
    found = gate.importance.double() / (1 - MEMORY)
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-3)


def test_importance_is_a_running_mean_and_saved():
    gate, x = make_gate(2), torch.tensor([[1.0, -3.0]])
    for _ in range(500):
        gate(x).sum().backward()
    torch.testing.assert_close(
        gate.importance, torch.tensor([1.0, 3.0]), atol=1e-3, rtol=0
    )
    other = make_gate(2)
    other.load_state_dict(gate.state_dict())
    assert other.importance.equal(gate.importance)


def test_settled_units_are_gone_and_no_longer_measured():
    gate, x = make_gate(2), torch.ones(1, 2, requires_grad=True)
    gate.settle(torch.tensor([True, False]))
    out = gate(x)
    out.sum().backward()
    assert out.tolist() == [[1.0, 0.0]]
    assert gate.importance.tolist() == [0.0, 0.0]


def test_no_process_waits_for_its_logits():
    gate = make_gate(2)
    assert not gate.logits.requires_grad
    assert gate.draws


def test_gradients_that_overflow_are_not_noted():
    gate, x = make_gate(2), torch.ones(1, 2)
    gate(x).sum().backward()
    before = gate.importance.clone()
    (gate(x) * torch.tensor([float("inf"), 1.0])).sum().backward()
    assert gate.importance[0] == before[0]
    assert gate.importance[1] > before[1]

"""Tests of hard concrete gates.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import pytest
import torch

from speechbrain_neuronprune import RetentionSchedule
from speechbrain_neuronprune.rivals.hard_concrete import (
    HIGH,
    LOW,
    SHIFT,
    TEMPERATURE,
    HardConcrete,
)


def make_gate(*betas):
    schedule = RetentionSchedule(c_start=0.0, c_end=0.0)
    gate = HardConcrete(len(betas), schedule=schedule, scale=2.0)
    gate.logits.data = torch.tensor(betas) / 2.0
    return gate


def test_the_law_is_that_of_the_paper():
    betas = torch.tensor([-1.0, 0.5, 2.0])
    gate = make_gate(*betas.tolist())
    torch.manual_seed(0)
    drawn = gate.mask(200_000)
    # Of the hard concrete distribution: where the stretched sigmoid of
    # a logistic variable is below zero, and above one.
    logistic = torch.distributions.TransformedDistribution(
        torch.distributions.Uniform(0.0, 1.0),
        torch.distributions.SigmoidTransform().inv,
    )
    log_alpha = betas + SHIFT
    low, high = (
        TEMPERATURE * torch.logit(torch.tensor((end - LOW) / (HIGH - LOW)))
        for end in (0.0, 1.0)
    )
    zero = logistic.cdf(low - log_alpha)
    one = 1.0 - logistic.cdf(high - log_alpha)
    torch.testing.assert_close(1.0 - zero, gate.retention().detach())
    share_zero = (drawn == 0).float().mean(0)
    share_one = (drawn == 1).float().mean(0)
    torch.testing.assert_close(share_zero, zero, atol=5e-3, rtol=0)
    torch.testing.assert_close(share_one, one, atol=5e-3, rtol=0)


def test_logits_learn_where_a_draw_is_between_its_ends():
    gate = make_gate(-60.0, 0.0, 60.0)
    gate(torch.ones(50, 3)).sum().backward()
    assert (gate.logits.grad != 0).tolist() == [False, True, False]


def test_evaluation_is_without_noise_and_then_hard():
    gate = make_gate(-60.0, 0.5, 60.0).eval()
    mask = gate(torch.ones(2, 3))
    assert mask[0].equal(mask[1])
    assert mask[0, 0] == 0 and 0 < mask[0, 1] < 1 and mask[0, 2] == 1
    gate.settle(torch.tensor([False, True, False]))
    for training in (False, True):
        drawn = gate.train(training)(torch.ones(2, 3))
        assert drawn.tolist() == 2 * [[0.0, 1.0, 0.0]]


@pytest.mark.parametrize("settled", [False, True])
def test_a_checkpoint_knows_what_is_settled(settled):
    gate, other = make_gate(1.0, 2.0), make_gate(0.0, 0.0)
    if settled:
        gate.settle(torch.tensor([True, False]))
    other.load_state_dict(gate.state_dict())
    assert other.settled == settled
    x = torch.ones(1, 2)
    assert other.eval()(x).equal(gate.eval()(x))

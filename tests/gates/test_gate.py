"""Masks are shared over time, whatever the layout of the input."""

import pytest
import torch

from speechbrain_neuronprune import AdaptiveDropout, RetentionSchedule
from speechbrain_neuronprune.gates.gate import FixedMask, UnitGate
from speechbrain_neuronprune.gates.open_gate import OpenGate
from speechbrain_neuronprune.rivals.hard_concrete import HardConcrete


def test_fixed_mask_zeroes_exactly_the_removed_units():
    keep = torch.tensor([True, False, True])
    out = FixedMask(keep)(torch.ones(2, 5, 3))
    assert torch.equal(out, keep.float().expand(2, 5, 3))


def test_fixed_mask_is_no_part_of_the_state_dict():
    assert not FixedMask(torch.ones(3, dtype=torch.bool)).state_dict()


def test_fixed_mask_keeps_the_dtype():
    mask = FixedMask(torch.tensor([True, False]))
    assert mask(torch.ones(1, 2, dtype=torch.bfloat16)).dtype == torch.bfloat16


def test_what_is_known_not_to_draw():
    assert UnitGate(2).draws
    assert not FixedMask(torch.tensor([True, False])).draws


def test_fixed_mask_without_a_batch():
    mask = FixedMask(torch.tensor([True, False]))
    assert torch.equal(mask(torch.ones(2)), torch.tensor([1.0, 0.0]))


@pytest.mark.parametrize("kind", [AdaptiveDropout, HardConcrete, OpenGate])
def test_a_gate_is_idle_once_it_is_settled_that_all_units_stay(kind):
    x = torch.randn(2, 5, 3)
    for keep in ([True, True, True], [True, False, True]):
        gate = kind(3, schedule=RetentionSchedule())
        assert not gate.idle
        gate.settle(torch.tensor(keep))
        assert gate.idle == all(keep)
        in_training = gate(x)
        assert in_training.equal(x) == all(keep)
        gate.eval()
        assert not gate.idle and gate(x).equal(in_training)

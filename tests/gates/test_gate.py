"""Masks are shared over time, whatever the layout of the input."""

import torch

from speechbrain_neuronprune.gates.gate import FixedMask


def test_fixed_mask_zeroes_exactly_the_removed_units():
    keep = torch.tensor([True, False, True])
    out = FixedMask(keep)(torch.ones(2, 5, 3))
    assert torch.equal(out, keep.float().expand(2, 5, 3))


def test_fixed_mask_is_no_part_of_the_state_dict():
    assert not FixedMask(torch.ones(3, dtype=torch.bool)).state_dict()


def test_fixed_mask_keeps_the_dtype():
    mask = FixedMask(torch.tensor([True, False]))
    assert mask(torch.ones(1, 2, dtype=torch.bfloat16)).dtype == torch.bfloat16


def test_fixed_mask_without_a_batch():
    mask = FixedMask(torch.tensor([True, False]))
    assert torch.equal(mask(torch.ones(2)), torch.tensor([1.0, 0.0]))

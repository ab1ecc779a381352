"""Scratch memory: the same as long as it fits.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import torch

from speechbrain_neuronprune.saliency.scratch import Scratch


def test_memory_is_used_again_while_it_is_enough():
    scratch, like = Scratch(), torch.zeros(())
    large = scratch.empty((4, 5), like).fill_(7.0)
    small = scratch.empty((3, 2), like)
    assert small.data_ptr() == large.data_ptr()
    assert small.tolist() == [[7.0, 7.0]] * 3
    larger = scratch.empty((5, 5), like)
    assert larger.shape == (5, 5)
    assert scratch.empty((4, 5), like).data_ptr() == larger.data_ptr()


def test_memory_has_the_precision_that_is_asked_for():
    scratch = Scratch()
    one = scratch.empty((2,), torch.zeros((), dtype=torch.float32))
    two = scratch.empty((2,), torch.zeros((), dtype=torch.float64))
    assert (one.dtype, two.dtype) == (torch.float32, torch.float64)

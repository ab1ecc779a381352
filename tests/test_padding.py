"""Which frames of a padded batch are speech.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from speechbrain.dataio.dataio import length_to_mask
from torch import nn

from speechbrain_neuronprune.padding import frames_of, valid_frames


@given(
    counts=st.lists(st.integers(1, 400), min_size=1, max_size=4),
    stride=st.integers(1, 8),
)
def test_valid_frames_at_the_features_own_rate(counts, stride):
    longest = max(counts)
    lengths = torch.tensor([count / longest for count in counts])
    mask = valid_frames(lengths, len(counts), longest)
    assert mask.sum(1).tolist() == counts
    assert all(row[:n].all() for row, n in zip(mask, counts, strict=True))
    # A layer at a lower frame rate has its share.
    coarse = math.ceil(longest / stride)
    mask = valid_frames(lengths, len(counts), coarse)
    wanted = [count / longest * coarse for count in counts]
    for got, exact in zip(mask.sum(1).tolist(), wanted, strict=True):
        assert abs(got - exact) <= 0.5 + 1e-4


def test_halves_round_as_speechbrain_rounds_them():
    """0.35 * 10 is 3.5 in float32, and not in float64."""
    mask = valid_frames(torch.tensor([0.35, 0.25, 0.5]), 3, 10)
    assert mask.sum(1).tolist() == [4, 2, 5]


def test_without_lengths_every_frame_is_valid():
    assert valid_frames(None, 2, 3).all()
    assert valid_frames(None, 2, 3).shape == (2, 3)


def test_frames_of_a_batch_are_those_of_its_own_rate():
    lengths = torch.tensor([1.0, 0.5])
    for frames in (4, 9):
        batch = torch.zeros(2, frames, 3)
        wanted = valid_frames(lengths, 2, frames)
        assert torch.equal(frames_of(batch, lengths), wanted)
    assert frames_of(batch, None).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.half])
@pytest.mark.parametrize("frames", [1, 17, 3000])
def test_valid_frames_are_those_of_speechbrain(dtype, frames):
    lengths = torch.tensor([1.0, 0.35, 0.5, 0.0], dtype=dtype)
    mask = length_to_mask((lengths * frames).round(), frames).bool()
    assert torch.equal(valid_frames(lengths, 4, frames), mask)


class Spoken(nn.Module):
    def forward(self, x, lengths):
        return x.masked_fill(~frames_of(x, lengths).unsqueeze(-1), 0.0)


def test_an_export_takes_other_batches():
    shapes = {"x": {0: torch.export.Dim("rows")}}
    shapes["lengths"] = shapes["x"]
    example = torch.ones(2, 4, 3), torch.tensor([1.0, 0.5])
    program = torch.export.export(Spoken(), example, dynamic_shapes=shapes)
    inputs = torch.ones(3, 4, 3), torch.tensor([1.0, 0.5, 0.2])
    assert torch.equal(program.module()(*inputs), Spoken()(*inputs))

"""Frames: the window, padding, layouts, and what is not a number.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from speechbrain_neuronprune.errors import SaliencyError
from speechbrain_neuronprune.saliency.batches import Batch
from speechbrain_neuronprune.saliency.frames import Frames, window_sums
from speechbrain_neuronprune.saliency.taps import Tap


def make_frames(inputs, units, lengths=None, window=4, time_first=False):
    tap = Tap("fc", nn.Linear(3, 2), nn.Linear(2, 3), time_first)
    rows = inputs.shape[1 if time_first else 0]
    if lengths is not None:
        lengths = torch.tensor(lengths)
    batch = Batch(6, torch.zeros(rows, 9, 3), lengths)
    return Frames(tap, batch, inputs, units, window)


@given(frames=st.integers(1, 20), window=st.integers(1, 25))
def test_window_sums_equal_a_loop(frames, window):
    x = torch.arange(1, frames + 1).double().square()
    got = window_sums(x.reshape(1, -1, 1), window).flatten()
    back = window // 2 - 1 if window % 2 == 0 else window // 2
    for t in range(frames):
        inside = [
            float(x[t + k])
            for k in range(-back, window // 2 + 1)
            if 0 <= t + k < frames
        ]
        assert got[t] == sum(inside)


def test_padding_is_zero_and_not_counted():
    inputs = torch.ones(2, 4, 3)
    inputs[1, 2:] = math.nan
    frames = make_frames(inputs, inputs[..., :2], [1.0, 0.5])
    assert frames.count == 6
    assert frames.valid[1].tolist() == [True, True, False, False]
    assert frames.inputs[1, :, 0].tolist() == [1, 1, 0, 0]
    assert frames.magnitudes[1, :, 0].tolist() == [1, 1, 0, 0]
    # k = -1 .. 2, clipped at both ends of each utterance
    assert frames.window_sums[:, :, 0].tolist() == [[3, 4, 3, 2], [2, 2, 0, 0]]
    assert frames.window_sizes.tolist() == [[3, 4, 3, 2], [2, 2, 0, 0]]


def test_all_is_float64():
    frames = make_frames(torch.ones(1, 2, 3).half(), torch.ones(1, 2, 2).half())
    for view in ("inputs", "units", "magnitudes", "window_sums", "count"):
        assert getattr(frames, view).dtype == torch.float64, view


def test_time_first_layers_are_turned():
    inputs = torch.randn(5, 2, 3)  # (time, batch, features)
    units = torch.randn(5, 2, 2)
    frames = make_frames(inputs, units, time_first=True)
    assert torch.equal(frames.units, units.transpose(0, 1).double())
    assert torch.equal(frames.inputs, inputs.transpose(0, 1).double())


def test_rows_without_time_are_utterances_of_one_frame():
    """A relative length says nothing about them."""
    x = torch.randn(4, 3)
    frames = make_frames(x, x[:, :2], [1.0, 0.1, 0.2, 0.3], window=16)
    assert frames.count == 4
    assert torch.equal(frames.window_sums, x.unsqueeze(1).double())
    assert (frames.window_sizes == 1).all()


def test_a_unit_that_the_loss_ignores_has_no_gradient():
    frames = make_frames(torch.ones(1, 2, 3), torch.ones(1, 2, 2))
    assert torch.equal(frames.gradient, torch.zeros_like(frames.units))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_a_number_is_refused_by_name(value):
    x = torch.zeros(2, 4, 3)
    bad = x.clone()
    bad[1, 1, 0] = value
    message = "of group fc contain NaN or infinity in batch 6"
    with pytest.raises(SaliencyError, match="The activations " + message):
        _ = make_frames(x, bad).units
    with pytest.raises(SaliencyError, match="The inputs " + message):
        _ = make_frames(bad, x).inputs
    frames = make_frames(x, x)
    frames.raw_gradient = bad
    with pytest.raises(SaliencyError, match="The gradients " + message):
        _ = frames.gradient


@pytest.mark.parametrize("shape", [(3, 4, 2), (2, 4, 5, 2), (8, 2)])
def test_other_layouts_are_refused(shape):
    frames = make_frames(torch.zeros(2, 4, 3), torch.zeros(shape))
    with pytest.raises(SaliencyError) as error:
        _ = frames.units
    assert f"Group fc sees a tensor of shape {shape}" in str(error.value)
    assert "a batch of 2 utterances" in str(error.value)

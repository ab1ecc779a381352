"""Frames: padding, precision, layouts, and what is not a number.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import gc
import math
import weakref

import pytest
import torch
from torch import nn

from speechbrain_neuronprune.errors import SaliencyError
from speechbrain_neuronprune.saliency.batches import Batch
from speechbrain_neuronprune.saliency.frames import Frames
from speechbrain_neuronprune.saliency.passage import Passage
from speechbrain_neuronprune.saliency.taps import Tap


def make_frames(
    inputs, units, gradient=None, lengths=None, window=4, time_first=False
):
    """All frames of one batch."""
    tap = Tap("fc", nn.Linear(3, 2), nn.Linear(2, 3), time_first)
    rows = inputs.shape[1 if time_first else 0]
    if lengths is not None:
        lengths = torch.tensor(lengths)
    batch = Batch(6, torch.zeros(rows, 9, 3), lengths)
    passage = Passage(tap, batch, inputs, units, gradient)
    [positions] = passage.speech()
    return Frames(passage, positions, window)


def test_padding_is_left_out():
    inputs = torch.ones(2, 4, 3)
    inputs[1, :2] = 7.0
    inputs[1, 2:] = math.nan
    frames = make_frames(inputs, -inputs[..., :2], lengths=[1.0, 0.5])
    assert len(frames) == 6
    assert frames.inputs.tolist() == [[1.0] * 3] * 4 + [[7.0] * 3] * 2
    assert frames.sum_of_magnitudes().tolist() == [18.0, 18.0]
    # k = -1 .. 2, clipped at both ends of each utterance
    assert frames.window_sums[:, 0].tolist() == [3, 4, 3, 2, 14, 14]
    assert frames.window_sizes.tolist() == [3, 4, 3, 2, 2, 2]


@pytest.mark.parametrize(
    "given, wanted",
    [
        (torch.float64, torch.float64),
        (torch.float32, torch.float32),
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
    ],
)
def test_precision_is_the_models_but_never_half(given, wanted):
    x = torch.ones(1, 2, 3).to(given)
    frames = make_frames(x, x, gradient=x)
    views = ("inputs", "units", "gradient", "window_sums", "window_sizes")
    for view in views:
        assert getattr(frames, view).dtype == wanted, view
    for some in (frames, frames.every(2)):
        assert some.sum_of_magnitudes().dtype == wanted


@pytest.mark.parametrize("window", [1, 4, 40])
@pytest.mark.parametrize("stride", [2, 3, 9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_few_frames_are_some_of_all_with_the_same_windows(
    stride, dtype, window
):
    inputs, units = torch.randn(2, 7, 3, dtype=dtype), torch.randn(2, 7, 2)
    frames = make_frames(inputs, units, lengths=[1.0, 0.6], window=window)
    few = frames.every(stride)
    at = frames.positions.every(stride)
    assert len(few) == len(at)
    for view in ("inputs", "units", "window_sizes"):
        assert torch.equal(getattr(few, view), getattr(frames, view)[at]), view
    magnitudes = frames.units[at].abs()
    weights = torch.rand(len(at))
    for given, wanted in (
        (None, magnitudes.sum(0)),
        (weights, weights @ magnitudes),
    ):
        torch.testing.assert_close(few.sum_of_magnitudes(given), wanted)
    assert few.window_sums.dtype == torch.float32
    torch.testing.assert_close(few.window_sums, frames.window_sums[at])
    magnitudes = frames.window_sums.abs().mean(1)
    torch.testing.assert_close(frames.window_magnitudes, magnitudes)
    torch.testing.assert_close(few.window_magnitudes, magnitudes[at])


@pytest.mark.parametrize("time_first", [False, True])
@pytest.mark.parametrize("filler", [0.0, 1e30, math.nan, math.inf])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_padding_has_no_magnitude(time_first, filler, dtype):
    units = torch.randn(2, 7, 2)
    units[1, 4:] = filler
    layer = (units.transpose(0, 1) if time_first else units).to(dtype)
    frames = make_frames(layer, layer, None, [1.0, 0.6], 4, time_first)
    weights = torch.rand(11)
    speech = torch.cat([units[0], units[1, :4]]).to(dtype).float().abs()
    torch.testing.assert_close(frames.sum_of_magnitudes(), speech.sum(0))
    torch.testing.assert_close(
        frames.sum_of_magnitudes(weights), weights @ speech
    )


def test_few_frames_are_found_once_and_all_of_them_are_the_frames():
    x = torch.ones(2, 7, 3)
    frames = make_frames(x, x)
    assert frames.every(1) is frames
    assert frames.every(3) is frames.every(3)


def test_frames_are_gone_as_soon_as_nobody_needs_them():
    """They hold a layer's activations."""
    x = torch.ones(2, 7, 3)
    frames = make_frames(x, x)
    assert frames.every(3).window_sums.isfinite().all()
    gone = weakref.ref(frames), weakref.ref(frames.every(3))
    gc.disable()
    try:
        del frames
        assert [one() for one in gone] == [None, None]
    finally:
        gc.enable()


def test_few_frames_are_refused_for_what_is_between_them():
    inputs = torch.ones(1, 7, 3)
    few = make_frames(inputs, inputs[..., :2]).every(7)
    inputs[0, 4, 2] = math.nan
    assert few.inputs.isfinite().all()
    with pytest.raises(SaliencyError, match="inputs of group fc contain NaN"):
        few.refuse()


def test_time_first_layers_are_turned():
    inputs = torch.randn(5, 2, 3)  # (time, batch, features)
    units = torch.randn(5, 2, 2)
    frames = make_frames(inputs, units, lengths=[0.4, 1.0], time_first=True)
    assert torch.equal(frames.units, torch.cat([units[:2, 0], units[:, 1]]))
    assert torch.equal(frames.inputs, torch.cat([inputs[:2, 0], inputs[:, 1]]))


def test_rows_without_time_are_utterances_of_one_frame():
    """A relative length says nothing about them."""
    x = torch.randn(4, 3)
    lengths = [1.0, 0.1, 0.2, 0.3]
    frames = make_frames(x, x[:, :2], lengths=lengths, window=16)
    assert len(frames) == 4
    assert torch.equal(frames.window_sums, x)
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
        make_frames(x, bad).refuse()
    with pytest.raises(SaliencyError, match="The inputs " + message):
        make_frames(bad, x).refuse()
    with pytest.raises(SaliencyError, match="The gradients " + message):
        make_frames(x, x, gradient=bad).refuse()


def test_sums_that_overflow_are_refused_by_name():
    frames = make_frames(torch.zeros(2, 4, 3), torch.zeros(2, 4, 2))
    message = "of group fc overflow torch.float32 in batch 6"
    with pytest.raises(SaliencyError, match=message):
        frames.refuse()

"""Activation statistics equal numpy's; dead units are found.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import numpy as np
import pytest
import torch
from torch import nn

from speechbrain_neuronprune.saliency import measure_activations


def test_statistics_equal_those_of_all_frames_at_once(
    make_stack, draw_speech, pad, what_passes
):
    stack = make_stack(5, 7, 6, 4)
    utterances = draw_speech([6, 1, 10])
    batches = [pad(utterances[:2], extra=3), pad(utterances[2:])]
    measured = measure_activations(stack, batches)
    assert list(measured) == ["0", "2"]
    for name, statistics in measured.items():
        passed = what_passes(stack, utterances, int(name))
        frames = np.concatenate([units.numpy() for _, units in passed])
        assert statistics.frames == 17
        for got, wanted in (
            (statistics.mean, frames.mean(0)),
            (statistics.magnitude, np.abs(frames).mean(0)),
            (statistics.deviation, frames.std(0)),
            (statistics.silence, (frames == 0).mean(0)),
        ):
            assert got.dtype == torch.float32
            assert got.numpy() == pytest.approx(wanted, rel=1e-6, abs=1e-9)


def test_dead_and_constant_units():
    stack = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    with torch.no_grad():
        stack[0].weight.zero_()[0, 0] = 1.0
        stack[0].bias.copy_(torch.tensor([0.0, -1.0, 0.1, -2.0]))
    statistics = measure_activations(stack, [torch.randn(2, 33, 3)])["0"]
    assert statistics.dead.tolist() == [False, True, False, True]
    assert statistics.dead_share == 0.5
    assert statistics.deviation[1:].tolist() == [0, 0, 0]
    assert statistics.mean[2].item() == pytest.approx(0.1)
    assert 0.3 < statistics.silence[0] < 0.7


def test_little_deviation_far_from_zero_is_seen_in_float32():
    stack = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    with torch.no_grad():
        stack[0].weight.copy_(torch.eye(4, 3))
        stack[0].bias.fill_(1000.0)
    x = torch.randn(2, 500, 3)
    deviation = measure_activations(stack, [x])["0"].deviation[:3]
    wanted = x.flatten(0, 1).std(0, correction=0)
    assert deviation.tolist() == pytest.approx(wanted.tolist(), rel=1e-3)


def test_the_mean_is_what_zeroing_takes_away(make_stack, draw_speech):
    """Folding it into the next bias keeps the mean output."""
    stack = make_stack(5, 7, 4)
    [x] = draw_speech([50])
    mean = measure_activations(stack, [x.unsqueeze(0)])["0"].mean.double()
    with torch.no_grad():
        before = stack(x).mean(0)
        stack[2].bias += stack[2].weight[:, 3] * mean[3]
        stack[2].weight[:, 3] = 0.0
        assert torch.allclose(stack(x).mean(0), before, atol=1e-6)

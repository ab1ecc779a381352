"""Lagged MI equals a loop over centred activations, and sees dependence.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import pytest
import torch
from torch import nn

from speechbrain_neuronprune.saliency import rank_neurons


def centred(sequences):
    frames = [frame for one in sequences for frame in one]
    means = [sum(column) / len(frames) for column in zip(*frames, strict=True)]
    return [
        [[v - m for v, m in zip(frame, means, strict=True)] for frame in one]
        for one in sequences
    ]


def lagged(passed, window):
    x_p = centred([inputs.tolist() for inputs, _ in passed])
    x_n = centred([units.tolist() for _, units in passed])
    frames = sum(len(one) for one in x_n)
    scores = []
    for n in range(len(x_n[0][0])):
        score = 0.0
        for p in range(len(x_p[0][0])):
            total = 0.0
            for inputs, units in zip(x_p, x_n, strict=True):
                for t in range(len(units)):
                    for k in range(-(window // 2 - 1), window // 2 + 1):
                        if 0 <= t + k < len(units):
                            total += units[t][n] * inputs[t + k][p]
            score += abs(total / frames)
        scores.append(score / len(x_p[0][0]))
    return scores


@pytest.mark.parametrize("window", [2, 4, 16])
@pytest.mark.parametrize("number", [0, 2])
def test_lagged_mi_equals_a_loop(
    make_stack, draw_speech, pad, what_passes, window, number
):
    stack = make_stack(5, 7, 6, 4)
    # Means far from zero: the formula has to take them out.
    utterances = [one + 3.0 for one in draw_speech([6, 1, 10])]
    batches = [pad(utterances[:2]), pad(utterances[2:])]
    scores = rank_neurons(stack, batches, "mi_lagged", window=window)
    wanted = lagged(what_passes(stack, utterances, number), window)
    got = scores[str(number)].tolist()
    assert got == pytest.approx(wanted, rel=1e-5, abs=1e-9)


def constant_units(value):
    """One unit follows the first input, the other is constant."""
    stack = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 1))
    with torch.no_grad():
        stack[0].weight.zero_()[0, 0] = 1.0
        stack[0].bias.copy_(torch.tensor([5.0, value]))
    return stack


@pytest.mark.parametrize("value", [-1.0, 0.1, 700.0])
def test_a_constant_unit_has_none(value):
    stack = constant_units(value)
    batches = [torch.randn(2, 301, 3) + 9.0, torch.randn(1, 77, 3)]
    following, constant = rank_neurons(stack, batches, "mi_lagged")["0"]
    assert constant == 0
    assert following > 1e-3


def test_printed_mi_is_no_dependence_but_this_is():
    """A large constant unit is at the top of one and the bottom of the
    other: the printed formula measures size."""
    stack = constant_units(700.0)
    batches = [torch.randn(2, 301, 3)]
    printed = rank_neurons(stack, batches, "mi")["0"]
    dependent = rank_neurons(stack, batches, "mi_lagged")["0"]
    assert printed[1] > printed[0]
    assert dependent[1] < dependent[0]

"""OBS equals its formula, with an inverse made otherwise.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import pytest
import torch
from torch import nn

from speechbrain_neuronprune.saliency import rank_neurons


def inverse(matrix):
    """Gauss-Jordan elimination on lists."""
    size = len(matrix)
    rows = [
        [*row, *(float(i == j) for j in range(size))]
        for i, row in enumerate(matrix)
    ]
    for i in range(size):
        pivot = max(range(i, size), key=lambda r: abs(rows[r][i]))
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [value / rows[i][i] for value in rows[i]]
        for r in range(size):
            if r != i:
                factor = rows[r][i]
                rows[r] = [
                    a - factor * b
                    for a, b in zip(rows[r], rows[i], strict=True)
                ]
    return [row[size:] for row in rows]


def surgeon(weight, frames, damping):
    size = len(weight[0])
    hessian = [
        [sum(x[i] * x[j] for x in frames) / len(frames) for j in range(size)]
        for i in range(size)
    ]
    share = damping * sum(hessian[i][i] for i in range(size)) / size
    for i in range(size):
        hessian[i][i] += share
    inverted = inverse(hessian)
    return [
        sum(w * w / (2 * inverted[q][q]) for q, w in enumerate(row))
        for row in weight
    ]


@pytest.mark.parametrize("damping", [1e-6, 0.01, 1.0])
@pytest.mark.parametrize("number", [0, 2])
@pytest.mark.parametrize("stride", [1, 2])
def test_obs_equals_a_loop(
    make_stack, draw_speech, pad, what_passes, damping, number, stride
):
    stack = make_stack(5, 7, 6, 4)
    utterances = draw_speech([9, 4, 12])
    scores = rank_neurons(
        stack, [pad(utterances)], "obs", damping=damping, frame_stride=stride
    )
    passed = what_passes(stack, utterances, number)
    frames = [
        frame
        for inputs, _ in passed
        for frame in inputs[(stride - 1) // 2 :: stride].tolist()
    ]
    wanted = surgeon(stack[number].weight.tolist(), frames, damping)
    got = scores[str(number)].tolist()
    assert got == pytest.approx(wanted, rel=1e-6)


def test_inputs_that_are_much_alike_are_told_apart_in_float32():
    """Their products differ by less than float32 could tell."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2))
    speech = [10.0 + 0.01 * torch.randn(2, 300, 6)]
    single = rank_neurons(model, speech, "obs", damping=1e-9)["0"]
    speech = [x.double() for x in speech]
    double = rank_neurons(model.double(), speech, "obs", damping=1e-9)["0"]
    assert single.tolist() == pytest.approx(double.tolist(), rel=1e-4)


def test_an_input_that_is_always_zero_costs_nothing(make_stack):
    stack = make_stack(3, 4, 2)
    scores = rank_neurons(stack, [torch.zeros(1, 5, 3).double()], "obs")["0"]
    assert torch.isfinite(scores).all()
    assert (scores < 1e-12).all()


def test_redundant_inputs_make_weights_cheap():
    """The error is that after the other weights were adjusted: a weight on a
    copied input can be made up for by its twin, a lone one cannot."""
    stack = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 1))
    with torch.no_grad():
        stack[0].weight.copy_(torch.tensor([[1.0, 0, 0], [0, 0, 1.0]]))
    speech = torch.randn(1, 200, 3)
    speech[..., 1] = speech[..., 0]
    on_a_copy, alone = rank_neurons(stack, [speech], "obs")["0"]
    assert on_a_copy < 0.1 * alone

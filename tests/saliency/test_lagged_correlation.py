"""Lagged MI equals a loop over centred activations, and sees dependence.

Strides are tested against the same loop.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import pytest
import torch
from torch import nn

from speechbrain_neuronprune.errors import SaliencyError
from speechbrain_neuronprune.saliency import lagged_correlation, rank_neurons


def looked_at(count, stride):
    """The middle one of every stride frames, by walking along them."""
    middle = (min(count, stride) - 1) // 2
    return list(range(middle, count, stride))


def centred(sequences, stride):
    frames = [one[t] for one in sequences for t in looked_at(len(one), stride)]
    means = [sum(column) / len(frames) for column in zip(*frames, strict=True)]
    return [
        [[v - m for v, m in zip(frame, means, strict=True)] for frame in one]
        for one in sequences
    ]


def lagged(passed, window, stride=1):
    x_p = centred([inputs.tolist() for inputs, _ in passed], stride)
    x_n = centred([units.tolist() for _, units in passed], stride)
    frames = sum(len(looked_at(len(one), stride)) for one in x_n)
    scores = []
    for n in range(len(x_n[0][0])):
        score = 0.0
        for p in range(len(x_p[0][0])):
            total = 0.0
            for inputs, units in zip(x_p, x_n, strict=True):
                for t in looked_at(len(units), stride):
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


@pytest.mark.parametrize("stride", [1, 2, 3, 8, 50])
@pytest.mark.parametrize("number", [0, 2])
def test_a_stride_takes_middle_frames_only(
    make_stack, draw_speech, pad, what_passes, stride, number
):
    stack = make_stack(5, 7, 6, 4)
    utterances = [one + 3.0 for one in draw_speech([6, 1, 17, 2])]
    batches = [pad(utterances[:3]), pad(utterances[3:])]
    scores = rank_neurons(
        stack, batches, "mi_lagged", window=4, frame_stride=stride
    )
    passed = what_passes(stack, utterances, number)
    wanted = lagged(passed, window=4, stride=stride)
    got = scores[str(number)].tolist()
    assert got == pytest.approx(wanted, rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("stride", [2, 7])
def test_a_stride_does_not_see_how_utterances_are_batched(
    make_stack, draw_speech, pad, stride
):
    stack = make_stack(5, 7, 6, 4)
    utterances = draw_speech([6, 1, 17, 9])
    one, two = (
        rank_neurons(stack, batches, "mi_lagged", frame_stride=stride)
        for batches in (
            [one.unsqueeze(0) for one in utterances],
            [pad(utterances[2:], extra=5), pad(utterances[:2])],
        )
    )
    for group in one:
        assert one[group].tolist() == pytest.approx(
            two[group].tolist(), rel=1e-6
        )


@pytest.mark.parametrize("criterion", ["mi", "mi_lagged"])
@pytest.mark.parametrize("place", [3, 4])
def test_a_stride_refuses_what_is_not_a_number(make_stack, criterion, place):
    """In a frame that is looked at, and in one that is in its window."""
    batches = [torch.randn(1, 8, 5).double() for _ in range(3)]
    batches[1][0, place, 2] = float("nan")
    with pytest.raises(SaliencyError, match="NaN or infinity in batch 1"):
        rank_neurons(make_stack(5, 7, 4), batches, criterion, frame_stride=8)


@pytest.mark.parametrize("stride", [1, 2])
def test_products_that_overflow_are_refused(make_stack, stride):
    stack = make_stack(5, 7, 4, activation=nn.ReLU).float()
    speech = 1e30 * torch.randn(1, 8, 5)
    with pytest.raises(SaliencyError, match="group 0 overflow torch.float32"):
        rank_neurons(stack, [speech], "mi_lagged", frame_stride=stride)


@pytest.mark.parametrize("stride", [2, 5])
def test_frames_that_wait_lose_nothing(
    make_stack, draw_speech, monkeypatch, stride
):
    """However many are multiplied at once."""
    stack = make_stack(5, 7, 4)
    speech = [one.unsqueeze(0) for one in draw_speech([6, 1, 17, 9, 30])]
    scores = []
    for enough in (1, 4, 10**6):
        monkeypatch.setattr(lagged_correlation, "FRAMES_AT_ONCE", enough)
        found = rank_neurons(stack, speech, "mi_lagged", frame_stride=stride)
        scores.append(found["0"].tolist())
    assert scores[1] == pytest.approx(scores[0], rel=1e-6)
    assert scores[2] == pytest.approx(scores[0], rel=1e-6)


@pytest.mark.parametrize(
    "count, stride, wanted",
    [
        (5, 1, [0, 1, 2, 3, 4]),
        (9, 3, [1, 4, 7]),
        (10, 4, [1, 5, 9]),
        (9, 4, [1, 5]),
        (5, 8, [2]),
        (1, 8, [0]),
    ],
)
def test_the_loops_strides_are_worked_out_by_hand(count, stride, wanted):
    assert looked_at(count, stride) == wanted


def test_a_stride_estimates_the_exact_order():
    """Frames next to each other are alike, as in speech; units follow some
    inputs more and others less."""
    torch.manual_seed(5)
    stack = nn.Sequential(nn.Linear(6, 20), nn.Tanh(), nn.Linear(20, 1))
    noise = torch.randn(4, 2000, 6)
    speech = noise.unfold(1, 10, 1).mean(-1)
    exact, estimate = (
        rank_neurons(stack, [speech], "mi_lagged", frame_stride=stride)["0"]
        for stride in (1, 8)
    )
    assert torch.corrcoef(torch.stack([exact, estimate]))[0, 1] > 0.98


@pytest.mark.parametrize("offset", [0.0, 1.0, 100.0])
def test_means_far_above_the_covariance_cost_no_digits(offset):
    """In float32 the products of x would leave nothing of it."""
    torch.manual_seed(5)
    stack = nn.Sequential(nn.Linear(6, 9), nn.ReLU(), nn.Linear(9, 1))
    with torch.no_grad():
        stack[0].weight.mul_(0.1)
        stack[0].bias.fill_(offset)
    speech = [offset + torch.randn(2, 300, 6) for _ in range(3)]
    single = rank_neurons(stack, speech, "mi_lagged")["0"]
    speech = [x.double() for x in speech]
    double = rank_neurons(stack.double(), speech, "mi_lagged")["0"]
    assert single.tolist() == pytest.approx(double.tolist(), rel=1e-4)


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

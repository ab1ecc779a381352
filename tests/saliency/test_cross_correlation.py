"""MI equals the formula that Mitra and Franco print, frame by frame.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import pytest
import torch

from speechbrain_neuronprune.saliency import rank_neurons


def printed(passed, window, stride=1):
    """Mitra and Franco, sec. 4, for even windows; the mean over frames, or over
    the middle ones of every stride of them."""
    units = passed[0][1].shape[1]
    totals, frames = [0.0] * units, 0
    for inputs, hidden in passed:
        x_p, x_n = inputs.tolist(), hidden.tolist()
        width = len(x_p[0])
        for t in range((min(len(x_n), stride) - 1) // 2, len(x_n), stride):
            frames += 1
            for n in range(units):
                r = 0.0
                for p in range(width):
                    inner = 0.0
                    for k in range(-(window // 2 - 1), window // 2 + 1):
                        if 0 <= t + k < len(x_p):
                            inner += x_n[t][n] * x_p[t + k][p]
                    r += abs(inner)
                totals[n] += r / width
    return [total / frames for total in totals]


@pytest.mark.parametrize("window", [2, 4, 16])
@pytest.mark.parametrize("number", [0, 2])
@pytest.mark.parametrize("activation", [torch.nn.ReLU, torch.nn.Tanh])
def test_mi_equals_the_printed_formula(
    make_stack, draw_speech, pad, what_passes, window, number, activation
):
    stack = make_stack(5, 7, 6, 4, activation=activation)
    utterances = draw_speech([6, 1, 10])
    scores = rank_neurons(stack, [pad(utterances)], "mi", window=window)
    wanted = printed(what_passes(stack, utterances, number), window)
    assert scores[str(number)].tolist() == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("stride", [2, 3, 8])
def test_a_stride_takes_middle_frames_only(
    make_stack, draw_speech, pad, what_passes, stride
):
    stack = make_stack(5, 7, 6, 4)
    utterances = draw_speech([6, 1, 10])
    scores = rank_neurons(
        stack, [pad(utterances)], "mi", window=4, frame_stride=stride
    )
    wanted = printed(what_passes(stack, utterances, 0), 4, stride)
    assert scores["0"].tolist() == pytest.approx(wanted, rel=1e-6)


def test_windows_stop_at_the_utterances_ends(make_stack, draw_speech):
    """The same frames as one utterance and as several are not the same."""
    stack = make_stack(5, 7, 4)
    [whole] = draw_speech([12])
    in_one = rank_neurons(stack, [whole.unsqueeze(0)], "mi", window=4)["0"]
    in_four = rank_neurons(stack, [whole.view(4, 3, 5)], "mi", window=4)["0"]
    rows = rank_neurons(stack, [whole], "mi", window=4)["0"]
    alone = rank_neurons(stack, [whole], "mi", window=1)["0"]
    assert not torch.allclose(in_one, in_four)
    assert torch.equal(rows, alone)  # every row is an utterance


def test_the_default_window_has_16_frames(make_stack, draw_speech):
    stack = make_stack(5, 7, 4)
    speech = [draw_speech([40])[0].unsqueeze(0)]
    default = rank_neurons(stack, speech, "mi")["0"]
    assert torch.equal(
        default, rank_neurons(stack, speech, "mi", window=16)["0"]
    )
    assert not torch.equal(
        default, rank_neurons(stack, speech, "mi", window=17)["0"]
    )

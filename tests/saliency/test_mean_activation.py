"""The mean absolute activation equals a loop.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import pytest
import torch

from speechbrain_neuronprune.saliency import rank_neurons


@pytest.mark.parametrize("stride", [1, 3])
@pytest.mark.parametrize("activation", [torch.nn.ReLU, torch.nn.Tanh])
def test_activation_equals_a_loop(
    make_stack, draw_speech, pad, what_passes, activation, stride
):
    stack = make_stack(5, 7, 6, 4, activation=activation)
    utterances = draw_speech([6, 1, 10])
    scores = rank_neurons(
        stack, [pad(utterances)], "activation", frame_stride=stride
    )
    for number in (0, 2):
        passed = what_passes(stack, utterances, number)
        frames = [
            frame
            for _, units in passed
            for frame in units[(min(len(units), stride) - 1) // 2 :: stride]
        ]
        frames = [frame.tolist() for frame in frames]
        wanted = [
            sum(abs(value) for value in column) / len(frames)
            for column in zip(*frames, strict=True)
        ]
        assert scores[str(number)].tolist() == pytest.approx(wanted, rel=1e-6)

"""What the saliency tests share: small stacks, utterances, loops.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import math

import pytest
import torch
from torch import nn


@pytest.fixture(scope="session")
def make_stack():
    """Build a chain of Linear layers in float64, evaluation mode: groups
    "0", "2", ... The last Linear is the output."""

    def build(*widths, activation=nn.ReLU) -> nn.Sequential:
        torch.manual_seed(7)
        stages = []
        for inputs, outputs in zip(widths, widths[1:], strict=False):
            stages += [nn.Linear(inputs, outputs), activation()]
        return nn.Sequential(*stages[:-1]).double().eval()

    return build


@pytest.fixture(scope="session")
def draw_speech():
    """Draw utterances (frames, features) of given lengths, float64."""

    def draw(lengths, features=5, seed=0) -> list:
        generator = torch.Generator().manual_seed(seed)
        return [
            torch.randn(
                frames, features, generator=generator, dtype=torch.float64
            )
            for frames in lengths
        ]

    return draw


@pytest.fixture(scope="session")
def pad():
    """Make a batch of utterances, filled up with what must never count."""

    def together(utterances, extra=0, filler=math.nan) -> tuple:
        longest = max(len(one) for one in utterances) + extra
        x = torch.full(
            (len(utterances), longest, utterances[0].shape[1]),
            filler,
            dtype=utterances[0].dtype,
        )
        for row, one in zip(x, utterances, strict=True):
            row[: len(one)] = one
        lengths = [len(one) / longest for one in utterances]
        return x, torch.tensor(lengths)

    return together


@pytest.fixture(scope="session")
def what_passes():
    """Per utterance the layer's inputs and the units' activations of group
    str(number), computed one utterance at a time."""

    @torch.no_grad()
    def run(stack, utterances, number=0) -> list:
        return [
            (stack[:number](one), stack[: number + 2](one))
            for one in utterances
        ]

    return run

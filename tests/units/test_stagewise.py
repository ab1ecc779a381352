"""Running a chain in pieces gives what running it whole gives.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import torch
from speechbrain.nnet.containers import LengthsCapableSequential
from torch import nn

from speechbrain_neuronprune.units.stagewise import run_stages

LENGTHS = torch.tensor([1.0, 0.5])


class Scaled(nn.Module):
    """Takes lengths and returns a tuple."""

    def forward(self, x, lengths):
        return x * lengths[:, None], "ignored"


def make_chain():
    return LengthsCapableSequential(
        first=nn.Linear(3, 4), second=Scaled(), third=nn.Tanh()
    )


def test_pieces_make_the_whole():
    chain, x = make_chain(), torch.randn(2, 3)
    half = run_stages(chain, x, LENGTHS, stop=2)
    assert not half.equal(run_stages(chain, x, LENGTHS, stop=1))
    whole = run_stages(chain, half, LENGTHS, start=2)
    assert whole.equal(chain(x, LENGTHS))
    assert run_stages(chain, x, LENGTHS, 3) is x


def test_the_caller_acts_after_every_stage():
    chain, x, seen = make_chain(), torch.randn(2, 3), []

    def act(stage, y):
        seen.append(stage)
        return y + 1 if stage is chain.second else y

    y = run_stages(chain, x, LENGTHS, then=act)
    assert seen == list(chain.values())
    expected = chain.second(chain.first(x), LENGTHS)[0] + 1
    assert y.equal(torch.tanh(expected))

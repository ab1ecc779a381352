"""Dropout whose random numbers cost little.

On a CPU, ``nn.Dropout`` spends 5 to 7 ns per element on its random numbers,
one by one; in a Conformer of a million parameters that is a seventh of a
training step. Here four elements share a random number of 64 bits.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import math

import torch
from torch import Tensor, nn

from speechbrain_neuronprune.layers.eager import is_eager
from speechbrain_neuronprune.layers.hooks import is_watched

# A probability is a number of 16 bits: 0.1 becomes 6554 / 65536. The scale is
# that of what is drawn, so the expectation is 1 whatever the probability.
LEVELS = 2**16
PER_NUMBER = 4  # elements per 64 random bits


def use_quick_dropout(layer: nn.Module) -> None:
    """Let a dropout draw faster.

    Its class changes, in place. What it draws under a given seed is other
    than before.

    Arguments
    ---------
    layer : nn.Module
        An ``nn.Dropout``; any other one stays as it is.

    Example
    -------
    >>> layer = nn.Dropout(0.25)
    >>> use_quick_dropout(layer)
    >>> layer(torch.ones(256, 256)).unique()
    tensor([0.0000, 1.3333])
    """
    if type(layer) is nn.Dropout and not layer.inplace:
        layer.__class__ = QuickDropout


def is_idle(layer: nn.Module) -> bool:
    """Whether a call of a dropout would do nothing, nor tell anybody.

    Arguments
    ---------
    layer : nn.Module
        A dropout, or what has taken its place.

    Returns
    -------
    bool
        False where it is not known.

    Example
    -------
    >>> is_idle(nn.Dropout().eval()), is_idle(nn.Dropout())
    (True, False)
    """
    ordinary = type(layer) in (nn.Dropout, QuickDropout)
    return ordinary and not (layer.training or is_watched(layer))


class QuickDropout(nn.Dropout):
    """``nn.Dropout`` for CPUs.

    Graphs, scripts, accelerators, function transforms and other kinds of
    tensors take the stock way.
    """

    computes_as = nn.Dropout

    def forward(self, x: Tensor) -> Tensor:
        """As ``nn.Dropout.forward``."""
        if self.training and 0.0 < self.p < 1.0 and _applies(x):
            return x * draw_factors(x.shape, self.p).to(x.dtype)
        return super().forward(x)

    def __prepare_scriptable__(self) -> nn.Module:
        """What ``torch.jit.script`` compiles."""
        return nn.Dropout(self.p, self.inplace).train(self.training)


def draw_factors(shape: torch.Size, p: float) -> Tensor:
    """What dropout multiplies by: 0, or the inverse of the share that stays.

    Arguments
    ---------
    shape : torch.Size
        One factor per element.
    p : float
        How likely an element is dropped, between 0 and 1, with 16 bits.

    Returns
    -------
    torch.Tensor
        Independent draws of 0 or 1 / (1 - p), float32, on the CPU.

    Example
    -------
    >>> float(draw_factors(torch.Size([10]), 0.5).max()) in (0.0, 2.0)
    True
    """
    dropped = min(max(round(p * LEVELS), 1), LEVELS - 1)
    factors = torch.empty(shape, dtype=torch.float32, device="cpu")
    # Compared into numbers at once: torch turns booleans into them slowly.
    torch.ge(_signed_bits(shape), dropped - LEVELS // 2, out=factors)
    return factors.mul_(LEVELS / (LEVELS - dropped))


def _signed_bits(shape: torch.Size) -> Tensor:
    """16 random bits per element, as signed integers."""
    elements = math.prod(shape)
    count = -(-elements // PER_NUMBER)
    numbers = torch.empty(count, dtype=torch.int64, device="cpu")
    bits = numbers.random_(-(2**63), None).view(torch.int16)
    return bits[:elements].view(shape)


def _applies(x: Tensor) -> bool:
    return (
        type(x) is Tensor
        and x.device.type == "cpu"
        and x.is_floating_point()
        and is_eager()
    )

"""Layers and encoders that torch.compile makes faster, at any length.

Floats are constants of what is compiled. With ``dynamic=True`` they would be
inputs, each of them checked in every call.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

# The calls between the loops, too, are made from C++
COMPILER = {"cpp_wrapper": True}
RECOMPILATIONS = 64  # one of a class's forward per model
TIME = 1  # the axis of the frames


def begin_compiling(arguments: Iterable[Tensor]) -> None:
    """Forget what was compiled; what is compiled with these arguments, each
    (batch, time, ...), will serve all lengths."""
    torch._dynamo.reset()
    torch._dynamo.config.recompile_limit = RECOMPILATIONS
    for argument in arguments:
        torch._dynamo.mark_dynamic(argument, TIME)


def compiled(model: nn.Module) -> nn.Module:
    """Return a model that will be compiled by its first call."""
    return torch.compile(model, options=COMPILER)

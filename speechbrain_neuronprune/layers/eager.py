"""Shortcuts that hold for numbers, not for graphs of them.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import torch


def is_eager() -> bool:
    """Whether operations compute at once, on the numbers that there are.

    Returns
    -------
    bool
        False while a graph is compiled or traced, and within function
        transforms (``torch.func``).

    Example
    -------
    >>> is_eager()
    True
    """
    return not (
        torch.compiler.is_compiling()
        or torch.jit.is_tracing()
        # what torch.autograd.Function asks, too
        or torch._C._are_functorch_transforms_active()
    )

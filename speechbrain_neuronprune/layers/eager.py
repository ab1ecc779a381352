"""Shortcuts that hold for numbers, not for graphs of them.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.utils._python_dispatch import is_in_torch_dispatch_mode


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
        or torch._C._is_tracing()  # torch.jit.is_tracing, in one call
        # what torch.autograd.Function asks, too
        or torch._C._are_functorch_transforms_active()
    )


def is_plain(x: Tensor) -> bool:
    """Whether all there is to do with numbers is to compute with them.

    Arguments
    ---------
    x : torch.Tensor
        The numbers.

    Returns
    -------
    bool
        False on accelerators, with gradients of either kind, in graphs, and
        while somebody follows the operators, such as a counter of products.

    Example
    -------
    >>> is_plain(torch.ones(2))
    False
    >>> with torch.no_grad():
    ...     is_plain(torch.ones(2))
    True
    """
    return (
        not torch.is_grad_enabled()
        and x.is_cpu
        and is_eager()
        and forward_ad._current_level < 0
        and not is_in_torch_dispatch_mode()
    )

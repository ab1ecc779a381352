"""Hooks on modules that another module might do without.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from torch import nn


def is_watched(module: nn.Module) -> bool:
    """Whether a module must be called as it is.

    Arguments
    ---------
    module : nn.Module
        A module of which somebody could do the work in another way.

    Returns
    -------
    bool
        True if hooks want to see each call of it or its gradients, or make
        its weights anew before one.

    Example
    -------
    >>> linear = nn.Linear(2, 2)
    >>> _ = linear.register_forward_hook(print)
    >>> is_watched(linear), is_watched(nn.Linear(2, 2))
    (True, False)
    """
    return bool(
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
    )

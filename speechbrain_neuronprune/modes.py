"""How a model is left as it was: evaluation and frozen parameters for a while.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Switch to evaluation mode, and every module back at the end.

    Arguments
    ---------
    model : nn.Module
        Any model; its modules may be in different modes.

    Yields
    ------
    None

    Example
    -------
    >>> model = nn.Dropout()
    >>> with evaluating(model):
    ...     model.training
    False
    >>> model.training
    True
    """
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Make no parameter require gradients, and those that did again at the
    end.

    Arguments
    ---------
    model : nn.Module
        Any model.

    Yields
    ------
    None

    Example
    -------
    >>> model = nn.Linear(2, 1)
    >>> with frozen(model):
    ...     model.weight.requires_grad
    False
    >>> model.weight.requires_grad
    True
    """
    trainable = [p for p in model.parameters() if p.requires_grad]
    try:
        for parameter in trainable:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)

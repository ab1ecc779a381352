"""What a module is known by: it computes as its class and holds its weights.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Iterable

from torch import nn
from torch.nn.utils.parametrize import is_parametrized


def runs_as(module: nn.Module, kinds: Iterable[type]) -> bool:
    """Whether a module computes as its class, one of these, does.

    A subclass that has a forward of its own may do anything (skip
    connections, low-rank updates) and does not count, unless it says itself
    that it computes the same, by ``computes_as``. Neither does a module whose
    own forward was replaced (by a wrapper, for instance).

    Arguments
    ---------
    module : nn.Module
        Any module.
    kinds : iterable of type
        Classes.

    Returns
    -------
    bool
        True if it does.

    Example
    -------
    >>> layer = nn.Linear(2, 2)
    >>> runs_as(layer, [nn.Linear])
    True
    >>> layer.forward = nn.functional.relu
    >>> runs_as(layer, [nn.Linear])
    False
    """
    own = type(module)
    same = vars(own).get("computes_as", own)
    return "forward" not in vars(module) and any(
        isinstance(module, kind) and same.forward is kind.forward
        for kind in kinds
    )


def is_held(owner: nn.Module, entry: str) -> bool:
    """Whether a weight is the module's own, or a parametrization's. The older
    ``weight_norm`` and ``spectral_norm`` compute one before each forward.

    Arguments
    ---------
    owner : nn.Module
        The module.
    entry : str
        The name of the weight.

    Returns
    -------
    bool
        True if it is.

    Example
    -------
    >>> layer = nn.Linear(2, 3)
    >>> is_held(layer, "weight")
    True
    >>> layer = nn.utils.weight_norm(layer)
    >>> is_held(layer, "weight")
    False
    """
    own = entry in owner._parameters or entry in owner._buffers
    return own or is_parametrized(owner, entry)

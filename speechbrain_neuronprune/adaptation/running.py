"""Whether a model is being adapted just now.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import weakref
from typing import Any

from torch import nn

from speechbrain_neuronprune.adaptation.overlay import Overlaid, Still
from speechbrain_neuronprune.errors import NeuronPruneError

# Of adaptations that leave no trace in the model's layers, the handles. One
# that nobody holds any more can neither be finished nor undone.
_RUNNING: weakref.WeakSet[Any] = weakref.WeakSet()


def note_running(handle: Any) -> None:
    """Remember an adaptation that has begun.

    Arguments
    ---------
    handle : Any
        Its handle, of which the ``model`` is the one that it adapts. It is
        known weakly.
    """
    _RUNNING.add(handle)


def note_ended(handle: Any) -> None:
    """Forget an adaptation that has ended.

    Arguments
    ---------
    handle : Any
        Its handle; one that is not known does no harm.
    """
    _RUNNING.discard(handle)


def refuse_adapted(model: nn.Module, error: type[NeuronPruneError]) -> None:
    """Two adaptations of one model would each undo what the other did.

    Arguments
    ---------
    model : nn.Module
        Any model.
    error : type
        What to raise if it is being adapted.

    Raises
    ------
    NeuronPruneError
        The ``error`` given, if the model or a part of it is being adapted.

    Example
    -------
    >>> from speechbrain_neuronprune.adaptation.full import FullUpdate
    >>> from speechbrain_neuronprune.errors import SelectionError
    >>> model = nn.Linear(2, 2)
    >>> update = FullUpdate(model)
    >>> refuse_adapted(model, SelectionError)
    Traceback (most recent call last):
        ...
    speechbrain_neuronprune.errors.SelectionError: This Linear is already \
being adapted; finish() or undo() that adaptation first.
    >>> _ = update.finish()
    >>> refuse_adapted(model, SelectionError)
    """
    modules = set(model.modules())
    if any(isinstance(module, (Overlaid, Still)) for module in modules) or any(
        not modules.isdisjoint(handle.model.modules()) for handle in _RUNNING
    ):
        raise error(
            f"This {type(model).__name__} is already being adapted; finish() "
            "or undo() that adaptation first."
        )

"""Updating everything: the ordinary way, behind the handle of all others.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Iterator, Mapping

from torch import Tensor, nn

from speechbrain_neuronprune.adaptation.overlay import hold_still, lift
from speechbrain_neuronprune.adaptation.running import (
    note_ended,
    note_running,
    refuse_adapted,
)
from speechbrain_neuronprune.errors import SelectionError


class FullUpdate:
    """A model of which every parameter learns.

    Mitra and Franco, models A and D.

    It has the methods of ``Adaptation`` that a training needs, so that a
    recipe need not care which of them it is given: ``parameters``,
    ``state_dict``, ``load_state_dict``, ``undo`` and ``finish``. It is no
    context manager, and does not notice when it is used after its end.

    As there, norms with running statistics use those that they have:
    statistics of a few unlabelled batches are poor, and what they do must not
    be taken for what the weights learned. Until the end such norms have a
    class that was made at run time: the model can be saved by its state dict
    as ever, but pickling it whole has to wait.

    Arguments
    ---------
    model : nn.Module
        Changed in place: all of its parameters learn until the update is
        finished or undone.

    Raises
    ------
    SelectionError
        If the model is already being adapted.

    Example
    -------
    >>> model = nn.Linear(2, 1).requires_grad_(False)
    >>> update = FullUpdate(model)
    >>> [values.requires_grad for values in update.parameters()]
    [True, True]
    >>> update.finish().weight.requires_grad
    False
    """

    def __init__(self, model: nn.Module) -> None:
        refuse_adapted(model, SelectionError)
        self.model = model
        note_running(self)
        self._start = _copy(model.state_dict())
        self._learned = {
            name: parameter.requires_grad
            for name, parameter in model.named_parameters()
        }
        model.requires_grad_(True)
        for module in list(model.modules()):
            hold_still(module)

    def parameters(self) -> Iterator[nn.Parameter]:
        """All parameters of the model.

        Returns
        -------
        iterator of nn.Parameter
            In the model's order.
        """
        return self.model.parameters()

    def state_dict(self) -> dict[str, Tensor]:
        """A copy of all that has been learned.

        Returns
        -------
        dict of str to torch.Tensor
            The model's state dict, copied.
        """
        return _copy(self.model.state_dict())

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what ``state_dict`` returned.

        Arguments
        ---------
        state : mapping of str to torch.Tensor
            All entries of the model.
        """
        self.model.load_state_dict(state)

    def undo(self) -> nn.Module:
        """Put the starting model back, bitwise.

        Returns
        -------
        nn.Module
            The model itself.
        """
        self.model.load_state_dict(self._start)
        return self.finish()

    def finish(self) -> nn.Module:
        """Keep what was learned; what was frozen is frozen again.

        Returns
        -------
        nn.Module
            The model itself.
        """
        for module in list(self.model.modules()):
            lift(module)
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(self._learned[name])
        note_ended(self)
        return self.model


def _copy(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in state.items()}

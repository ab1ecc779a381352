"""The handle on a model of which only a few parameters learn.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from speechbrain_neuronprune.adaptation.overlay import (
    Overlay,
    base_of,
    hold_still,
    lay_over,
    lift,
)
from speechbrain_neuronprune.adaptation.running import refuse_adapted
from speechbrain_neuronprune.errors import SelectionError


class Adaptation:
    """A model of which only overlays learn, until it is finished or undone.

    Meanwhile every parameter of the model is frozen and norms keep their
    running statistics, in training too. The model can be trained, evaluated,
    moved, copied, compiled and saved by its state dict as ever; pickling it
    whole has to wait for the end. ``model.parameters()`` given whole to an
    optimiser works: it skips what is frozen and holds state for the overlays
    only.

    As a context manager it finishes at the end of the block, or undoes if the
    block raises.

    Arguments
    ---------
    model : nn.Module
        Changed in place.
    overlays : mapping of str to Overlay
        What learns, by the name of the parameter that it lies over.

    Raises
    ------
    SelectionError
        If the model is already being adapted.
    """

    def __init__(
        self, model: nn.Module, overlays: Mapping[str, Overlay]
    ) -> None:
        refuse_adapted(model, SelectionError)
        self.model = model
        self.overlays = dict(overlays)
        self.active = True
        self._learned = {
            name: parameter.requires_grad
            for name, parameter in model.named_parameters()
        }
        for parameter in model.parameters():
            parameter.requires_grad_(False)
            # An optimiser would still carry out a gradient left over here.
            parameter.grad = None
        for module in list(model.modules()):
            hold_still(module)
        for path, mine in _by_owner(overlays).items():
            lay_over(model.get_submodule(path), mine)

    # ---------------------------------------------------------- training

    def parameters(self) -> Iterator[nn.Parameter]:
        """The parameters that learn, in a fixed order.

        Returns
        -------
        iterator of nn.Parameter
            Those of the overlays.

        Raises
        ------
        SelectionError
            If the adaptation has ended.
        """
        self._check_active("parameters")
        for overlay in self.overlays.values():
            yield from overlay.parameters()

    def state_dict(self) -> dict[str, Tensor]:
        """What a checkpoint needs: the values that learn, and where they
        belong.

        The model's own state dict holds them too.

        Returns
        -------
        dict of str to torch.Tensor
            By the name of the parameter, a dot, and the name in its overlay.

        Raises
        ------
        SelectionError
            If the adaptation has ended.
        """
        self._check_active("state_dict")
        return {
            f"{name}.{key}": value
            for name, overlay in self.overlays.items()
            for key, value in overlay.state_dict().items()
        }

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what ``state_dict`` returned.

        Arguments
        ---------
        state : mapping of str to torch.Tensor
            The state of an adaptation with the same selection.

        Raises
        ------
        SelectionError
            If the state belongs to another selection.
        """
        own = self.state_dict()
        for name in sorted(own.keys() | state.keys()):
            if not _same_place(own.get(name), state.get(name)):
                raise SelectionError(
                    f"The state to load differs at {name}, so it belongs to "
                    "another selection; make this one with the selection "
                    "that the state was saved with."
                )
        for name, value in own.items():
            value.copy_(state[name])

    # ------------------------------------------------------------ ending

    def undo(self) -> nn.Module:
        """Put the starting model back, bitwise.

        Returns
        -------
        nn.Module
            The model itself, an ordinary one again.
        """
        self._check_active("undo")
        for module in list(self.model.modules()):
            lift(module)
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(self._learned[name])
        self.active = False
        return self.model

    @torch.no_grad()
    def finish(self) -> nn.Module:
        """Write what was learned into the model's own parameters.

        Returns
        -------
        nn.Module
            The model itself, an ordinary one again, with the parameter
            objects, names and hooks it started with.
        """
        self._check_active("finish")
        for name, overlay in self.overlays.items():
            parameter = base_of(self.model, name)
            parameter.copy_(overlay(parameter))
        return self.undo()

    def __enter__(self) -> "Adaptation":
        return self

    def __exit__(self, error: type | None, *details: Any) -> None:
        if self.active:
            self.finish() if error is None else self.undo()

    # ----------------------------------------------------------- helpers

    def _check_active(self, wanted: str) -> None:
        if not self.active:
            raise SelectionError(
                f"This {type(self).__name__} has ended, so it has no {wanted} "
                "any more; call it before finish() or undo(), or start anew."
            )


def _by_owner(
    overlays: Mapping[str, Overlay],
) -> dict[str, dict[str, Overlay]]:
    owners: dict[str, dict[str, Overlay]] = {}
    for name, overlay in overlays.items():
        path, _, attribute = name.rpartition(".")
        owners.setdefault(path, {})[attribute] = overlay
    return owners


def _same_place(own: Tensor | None, other: Tensor | None) -> bool:
    """Whether two entries of a state are both there and fit: positions must
    be equal, values only alike in shape."""
    if own is None or other is None or own.shape != other.shape:
        return False
    return own.is_floating_point() or torch.equal(own.cpu(), other.cpu())

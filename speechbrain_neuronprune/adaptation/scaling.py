"""Learning hidden unit contributions: one scale per neuron learns.

P. Swietojanski, J. Li, S. Renals, "Learning Hidden Unit Contributions for
Unsupervised Acoustic Model Adaptation", IEEE/ACM Transactions on Audio,
Speech, and Language Processing 24(8), 2016, arXiv 1601.02828. A control for
the selective update: every neuron changes, by a single number each.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import torch
from torch import Tensor, nn

from speechbrain_neuronprune.adaptation.handle import Adaptation
from speechbrain_neuronprune.adaptation.neurons import shares
from speechbrain_neuronprune.adaptation.overlay import Overlay, base_of
from speechbrain_neuronprune.errors import UnitsError
from speechbrain_neuronprune.units import (
    Targets,
    UnitGroup,
    find_units,
    supported_units,
)


class UnitScales(Overlay):
    """Scales the columns of a weight, each by 2 sigmoid(a), a = 0 at first.

    Scaling what a unit sends out is scaling the unit. Over the weight rather
    than over the activations, what is trained and what it folds into are the
    same numbers.

    Arguments
    ---------
    base : torch.Tensor
        The weight of the Linear whose inputs the units are.
    index : torch.Tensor
        Long (units,): their columns.
    """

    def __init__(self, base: Tensor, index: Tensor) -> None:
        super().__init__()
        self.register_buffer("index", index.to(base.device))
        self.amplitudes = nn.Parameter(base.new_zeros(len(index)))

    def scales(self) -> Tensor:
        """One scale per unit, between 0 and 2.

        Returns
        -------
        torch.Tensor
            (units,).
        """
        return 2.0 * torch.sigmoid(self.amplitudes)

    def forward(self, base: Tensor) -> Tensor:
        """The weight with scaled columns.

        Arguments
        ---------
        base : torch.Tensor
            The frozen weight, (outputs, inputs).

        Returns
        -------
        torch.Tensor
            Of the shape of ``base``.
        """
        scales = base.new_ones(base.shape[1])
        return base * scales.index_copy(0, self.index, self.scales())


class HiddenUnitScaling(Adaptation):
    """The handle that ``hidden_unit_scaling`` returns; ``finish()`` folds the
    scales into the weights."""

    def scales(self) -> dict[str, Tensor]:
        """The present scales, by the name of the weight that they lie over.

        Returns
        -------
        dict of str to torch.Tensor
            (units,) each, between 0 and 2.
        """
        return {
            name: overlay.scales().detach()
            for name, overlay in self.overlays.items()
        }


def hidden_unit_scaling(
    model: nn.Module, targets: Targets = None
) -> HiddenUnitScaling:
    """Let only one scale per fully connected neuron learn.

    A unit's activation is multiplied by 2 sigmoid(a), with a = 0 at the start
    (Swietojanski et al. 2016), so the model first computes what it did.

    Arguments
    ---------
    model : nn.Module
        Changed in place, until the scaling is finished or undone.
    targets : str or iterable of str, optional
        Which groups, as in ``find_units``; by default all of kind ``fc`` and
        ``ffn``.

    Returns
    -------
    HiddenUnitScaling
        ``parameters()`` for an optimiser, and ``finish()`` or ``undo()``,
        which make the model an ordinary one again.

    Raises
    ------
    UnitsError
        If there are no such groups, or a target is of another kind.
    SelectionError
        If the model is already being adapted.

    Example
    -------
    >>> from speechbrain.nnet.attention import PositionalwiseFeedForward
    >>> model = nn.Sequential(PositionalwiseFeedForward(8, input_size=4))
    >>> scaling = hidden_unit_scaling(model)
    >>> [tuple(values.shape) for values in scaling.parameters()]
    [(8,)]
    >>> model = scaling.finish()
    """
    overlays = {
        share.parameter: UnitScales(
            base_of(model, share.parameter), share.index.flatten()
        )
        for group in _groups(model, targets)
        for share in shares(model, group)
        if share.dim == 1
    }
    return HiddenUnitScaling(model, overlays)


def _groups(model: nn.Module, targets: Targets) -> list[UnitGroup]:
    if targets is not None:
        return list(find_units(model, targets).values())
    groups = [
        group
        for group in supported_units(model).values()
        if group.kind in ("fc", "ffn")
    ]
    if not groups:
        raise UnitsError(
            f"A {type(model).__name__} holds no fully connected neurons that "
            "could be scaled; give a model with feed-forward layers."
        )
    return groups

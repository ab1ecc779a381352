"""How chains of layers are gated and narrowed.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import torch
from torch import Tensor, nn

from speechbrain_neuronprune.gates.gate import UnitGate
from speechbrain_neuronprune.layers.chain_gate import gate_of, replace_gate
from speechbrain_neuronprune.layers.normalization import PartialLayerNorm
from speechbrain_neuronprune.layers.slicing import cut_parameters
from speechbrain_neuronprune.units import UnitGroup
from speechbrain_neuronprune.units.chains import (
    Link,
    link_of,
    members,
    normalizes_units,
)
from speechbrain_neuronprune.units.ends import fit_given, fit_taken, taken
from speechbrain_neuronprune.units.vectors import entry_of


class ChainForm:
    """How the chains of a Sequential container are gated and narrowed.

    A gate is registered as ``gate`` of the layer that consumes the units.
    """

    @staticmethod
    def get_gate(layer: nn.Module, group: UnitGroup) -> UnitGate | None:
        """The gate in place, or None.

        Arguments
        ---------
        layer : nn.Module
            The container.
        group : UnitGroup
            One of its groups.

        Returns
        -------
        UnitGate or None
            What multiplies the units.
        """
        return gate_of(layer.get_submodule(link_of(layer, group.site).consumer))

    @staticmethod
    def set_gate(
        layer: nn.Module, group: UnitGroup, gate: UnitGate | None
    ) -> nn.Module:
        """Put a gate in place (None removes it).

        Arguments
        ---------
        layer : nn.Module
            The container, changed in place.
        group : UnitGroup
            One of its groups.
        gate : UnitGate or None
            The new gate.

        Returns
        -------
        nn.Module
            The container itself.
        """
        link = link_of(layer, group.site)
        norms = filter(normalizes_units, members(layer, link))
        consumer = layer.get_submodule(link.consumer)
        replace_gate(gate, [*norms, consumer])
        return layer

    @staticmethod
    def narrow(
        layer: nn.Module,
        groups: list[UnitGroup],
        keep: dict[str, Tensor],
    ) -> nn.Module:
        """The container without the removed units.

        A Linear without inputs gives its bias, so an emptied group needs
        nothing in its place; a convolution keeps as many dead channels as it
        needs to run.

        Arguments
        ---------
        layer : nn.Module
            The container without gates, changed in place.
        groups : list of UnitGroup
            Its groups.
        keep : dict of str to torch.Tensor
            Per site, bool (units,): the units that stay.

        Returns
        -------
        nn.Module
            The container itself.
        """
        keep = {
            group.site: _kill(layer, group, keep[group.site])
            for group in groups
        }
        links = [
            link_of(layer, site)
            for site, units in keep.items()
            if not units.all()
        ]
        cut_parameters(layer, groups, keep)
        for link in links:
            _fit(layer, link, int(keep[link.producer].sum()))
        return layer


@torch.no_grad()
def _kill(layer: nn.Module, group: UnitGroup, keep: Tensor) -> Tensor:
    """Let removed units stay where a layer cannot do with fewer, with all
    that they own at zero: they are zeros, which nothing listens to."""
    missing = group.least - int(keep.sum())
    if missing <= 0:
        return keep
    dead = (~keep).nonzero().flatten().cpu()[:missing]
    for one in group.slices:
        entry = entry_of(layer, one.parameter)
        index = one.index[dead].flatten().to(entry.device)
        entry.index_fill_(one.dim, index, 0.0)
    keep = keep.clone()
    keep[dead] = True
    return keep


def _fit(layer: nn.Module, link: Link, kept: int) -> None:
    """Make the sizes of a link's stages those of their cut parameters."""
    fit_given(layer.get_submodule(link.producer), kept)
    consumer = layer.get_submodule(link.consumer)
    fit_taken(consumer, taken(consumer))
    for path, _ in link.between:
        stage = layer.get_submodule(path)
        if normalizes_units(stage):
            layer.set_submodule(path, PartialLayerNorm.of(stage, kept))
        elif isinstance(stage, nn.PReLU):
            stage.num_parameters = kept
        elif kept:
            stage.num_features = kept
        else:  # torch has no batch normalisation over nothing
            layer.set_submodule(path, nn.Identity())

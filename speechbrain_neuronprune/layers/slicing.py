"""Cutting the slices that removed units own out of a layer's parameters.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from speechbrain_neuronprune.errors import PlanError
from speechbrain_neuronprune.units import UnitGroup
from speechbrain_neuronprune.units.vectors import entry_of


def replace_entry(layer: nn.Module, name: str, value: Tensor) -> None:
    """Put another tensor in place of a parameter or buffer.

    Arguments
    ---------
    layer : nn.Module
        Changed in place.
    name : str
        Dotted name of the parameter or buffer.
    value : torch.Tensor
        What takes its place; as a parameter it learns if the old one did.

    Raises
    ------
    PlanError
        If the name is neither a parameter's nor a buffer's.
    """
    owner_path, _, attribute = name.rpartition(".")
    owner = layer.get_submodule(owner_path)
    old = getattr(owner, attribute)
    if isinstance(old, nn.Parameter):
        value = nn.Parameter(value, old.requires_grad)
    elif attribute not in dict(owner.named_buffers(recurse=False)):
        raise PlanError(
            f"The {name} of a {type(layer).__name__} cannot be cut because "
            "other tensors compute it (a parametrization or weight norm); "
            "remove that before compaction."
        )
    setattr(owner, attribute, value)


def _removed(
    groups: Iterable[UnitGroup], keep: dict[str, Tensor]
) -> dict[tuple, list[Tensor]]:
    """Positions to cut, by (parameter, dimension). Several groups may cut
    the same one: queries and values share a projection, two neighbours in a
    chain of Linear layers the rows and columns of a weight."""
    cuts: dict[tuple, list[Tensor]] = {}
    for group in groups:
        gone = ~keep[group.site].cpu()
        for one in group.slices:
            index = one.index[gone].flatten()
            cuts.setdefault((one.parameter, one.dim), []).append(index)
    return cuts


@torch.no_grad()
def cut_parameters(
    layer: nn.Module, groups: Iterable[UnitGroup], keep: dict[str, Tensor]
) -> None:
    """Remove from a layer, in place, everything its removed units own.

    Arguments
    ---------
    layer : nn.Module
        The layer; its parameters and buffers are replaced by smaller ones
        of the same names.
    groups : iterable of UnitGroup
        The layer's groups.
    keep : dict of str to torch.Tensor
        Per site, bool: the units that stay.

    Raises
    ------
    PlanError
        If something other than a parameter or buffer would be cut.
    """
    for (name, dim), cuts in _removed(groups, keep).items():
        value = entry_of(layer, name)
        if dim is None:
            value, dim = value.reshape(-1), 0
        stays = torch.ones(value.shape[dim], dtype=torch.bool)
        stays[torch.cat(cuts)] = False
        index = stays.nonzero().flatten().to(value.device)
        replace_entry(layer, name, value.index_select(dim, index))

"""The parameters of fully connected neurons, by name.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor, nn

from speechbrain_neuronprune.units import UnitGroup, linears_of
from speechbrain_neuronprune.units.vectors import join


@dataclass(frozen=True, eq=False)
class Share:
    """What the units of a group own of one parameter of a Linear.

    Arguments
    ---------
    parameter : str
        Its name in the model.
    dim : int
        0 for the Linear whose outputs the units are (incoming weights and
        bias), 1 for the next one, whose inputs they are (outgoing weights).
    index : torch.Tensor
        Long (units, entries): the positions along ``dim``.
    """

    parameter: str
    dim: int
    index: Tensor


def shares(model: nn.Module, group: UnitGroup) -> Iterator[Share]:
    """What the units of a fully connected group own of its two Linears.

    Entries of a norm in between are left out.

    Arguments
    ---------
    model : nn.Module
        The model that the group belongs to.
    group : UnitGroup
        One of ``find_units(model)``.

    Yields
    ------
    Share
        Incoming weights, bias entries where there are any, outgoing weights.

    Raises
    ------
    UnitsError
        If the group is of another kind.
    """
    linears = linears_of(model, group)
    for one in group.slices:
        name = join(group.layer, one.parameter)
        if model.get_submodule(name.rpartition(".")[0]) in linears:
            yield Share(name, one.dim, one.index)

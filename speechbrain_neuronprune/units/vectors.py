"""A vector of hidden units, and the slices of parameters that they own.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class ParameterSlice:
    """The part of one parameter, or of one buffer, that units own.

    Buffers are the running statistics of a batch normalisation: they are cut
    like parameters and do not count as such.

    Arguments
    ---------
    parameter : str
        The name of the parameter or buffer, relative to the layer.
    dim : int or None
        The dimension along which units lie; None reads the parameter flat.
    index : torch.Tensor
        Long tensor (units, entries): the positions each unit owns.
    """

    parameter: str
    dim: int | None
    index: Tensor


@dataclass(frozen=True)
class UnitVector:
    """One vector of units of a layer, before it has a name.

    Arguments
    ---------
    site : str
        Which vector of the layer.
    kind : str
        ``ffn``, ``query``, ``value``, ``conv`` or ``fc``.
    widths : tuple of int
        Units per attention head; one entry where there are no heads.
    slices : tuple of ParameterSlice
        What each unit owns.
    least : int
        How many units the layer needs to run, be they dead ones.
    """

    site: str
    kind: str
    widths: tuple[int, ...]
    slices: tuple[ParameterSlice, ...]
    least: int = 0


def join(path: str, name: str) -> str:
    """The dotted path of a part of what is at ``path`` ("" is the root).

    Arguments
    ---------
    path : str
        Dotted path of a module.
    name : str
        Dotted name in that module.

    Returns
    -------
    str
        The dotted path.

    Example
    -------
    >>> join("encoder", "0.weight"), join("", "weight")
    ('encoder.0.weight', 'weight')
    """
    return f"{path}.{name}" if path else name


def entry_of(layer: nn.Module, name: str) -> Tensor | None:
    """A parameter or buffer of a layer, or None if there is none.

    Arguments
    ---------
    layer : nn.Module
        The layer.
    name : str
        Dotted name. What a parametrization computes counts as well.

    Returns
    -------
    torch.Tensor or None
        The tensor.

    Example
    -------
    >>> layer = nn.Sequential(nn.Linear(3, 2, bias=False))
    >>> entry_of(layer, "0.weight").shape, entry_of(layer, "0.bias")
    (torch.Size([2, 3]), None)
    """
    value = layer
    for part in name.split("."):
        value = getattr(value, part, None)
    return value if torch.is_tensor(value) else None


def column(index: Tensor) -> Tensor:
    """Make a column of positions, one per unit.

    Arguments
    ---------
    index : torch.Tensor
        Long, (units,).

    Returns
    -------
    torch.Tensor
        Long, (units, 1), as ``ParameterSlice`` wants it.

    Example
    -------
    >>> column(torch.arange(2))
    tensor([[0],
            [1]])
    """
    return index.reshape(-1, 1)


def slices_of(layer: nn.Module, *wanted: tuple) -> tuple[ParameterSlice, ...]:
    """The slices whose parameter the layer really has: biases and norms'
    weights may be switched off, and not all attention has positions.

    Arguments
    ---------
    layer : nn.Module
        The layer.
    *wanted : tuple
        ``(name, dim, index)`` each.

    Returns
    -------
    tuple of ParameterSlice
        In the order given.
    """
    return tuple(
        ParameterSlice(*one)
        for one in wanted
        if entry_of(layer, one[0]) is not None
    )

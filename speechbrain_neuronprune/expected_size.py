"""How many parameters the gates of a model leave.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from speechbrain_neuronprune.attach import adaptive_dropouts
from speechbrain_neuronprune.gates.adaptive_dropout import AdaptiveDropout
from speechbrain_neuronprune.units import count_parameters, supported_units
from speechbrain_neuronprune.units.vectors import ParameterSlice, join


@torch.no_grad()
def expected_parameters(model: nn.Module) -> float:
    """How many parameters an average draw of the gates leaves.

    Arguments
    ---------
    model : nn.Module
        A gated model.

    Returns
    -------
    float
        Every parameter counts as much as it is likely that all units which
        own it are retained.
    """
    return float(surviving_parameters(model, lambda gate: gate.retention()))


@torch.no_grad()
def kept_parameters(model: nn.Module) -> int:
    """How many parameters the hard decision beta >= c_end leaves.

    Arguments
    ---------
    model : nn.Module
        A gated model.

    Returns
    -------
    int
        The number of parameters, without the gates' own.

    Example
    -------
    >>> from speechbrain_neuronprune import (
    ...     RetentionSchedule,
    ...     attach_adaptive_dropout,
    ... )
    >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> _ = attach_adaptive_dropout(model, RetentionSchedule(steps=10))
    >>> kept_parameters(model)
    13
    >>> (gate,) = adaptive_dropouts(model).values()
    >>> nn.init.constant_(gate.logits[:1], -5.0).item()
    -5.0
    >>> kept_parameters(model)  # a row, a bias and a column fewer
    9
    """
    return round(float(surviving_parameters(model, lambda gate: gate.keep())))


def surviving_parameters(
    model: nn.Module, chances: Callable[[AdaptiveDropout], Tensor]
) -> Tensor:
    """How many parameters stay on average, as something to differentiate.

    Arguments
    ---------
    model : nn.Module
        A gated model.
    chances : callable
        From a gate to the chances of its units to stay, independently of each
        other.

    Returns
    -------
    torch.Tensor
        A scalar, float64 on the CPU, without the gates' own parameters.
    """
    groups = supported_units(model)
    sizes = {name: p.shape for name, p in model.named_parameters()}
    alive: dict[str, dict[int, Tensor]] = {}
    for name, gate in adaptive_dropouts(model).items():
        group, chance = groups[name], chances(gate).flatten().cpu().double()
        for one in group.slices:
            path = join(group.layer, one.parameter)
            # Buffers, such as a norm's statistics, are no parameters.
            if path in sizes and math.prod(sizes[path]):
                _multiply(alive.setdefault(path, {}), sizes[path], one, chance)
    lost = torch.zeros((), dtype=torch.float64)
    for path, shares in alive.items():
        share = math.prod(each.mean() for each in shares.values())
        lost = lost + math.prod(sizes[path]) * (1.0 - share)
    return count_parameters(model) - lost


def _multiply(
    shares: dict[int, Tensor],
    shape: torch.Size,
    owned: ParameterSlice,
    chance: Tensor,
) -> None:
    """Lower the shares that stay, along the dimension that units own. Rows
    and columns of one weight may belong to units of two groups."""
    dim = -1 if owned.dim is None else owned.dim
    size = math.prod(shape) if owned.dim is None else shape[dim]
    share = shares.setdefault(dim, torch.ones(size, dtype=torch.float64))
    share[owned.index] *= chance.unsqueeze(1)

"""Removing units for a while or for good, as zeros or as their means.

A unit that is always on adds a constant to the next layer. Zeroing it is
then two things at once: the unit stops varying, and the next layer's bias
shifts. Mean ablation separates them: the removed units are replaced by their
mean activations, which is a change of the bias. (Ours; Mitra and Franco remove
units without it.)

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from speechbrain_neuronprune.compaction import apply_masks, check_plan
from speechbrain_neuronprune.errors import PlanError
from speechbrain_neuronprune.layers import get_gate, set_gate
from speechbrain_neuronprune.layers.constant import bias_of
from speechbrain_neuronprune.units import (
    UnitGroup,
    linears_of,
    supported_units,
)


@contextmanager
def masked(model: nn.Module, plan: Any) -> Iterator[nn.Module]:
    """Let a model compute with the removed units at zero, for a while.

    Arguments
    ---------
    model : nn.Module
        Gated or not. On leaving, also by an exception, the gates that were
        there are back.
    plan : PruningPlan
        Which units stay; groups that it does not name keep their gates.

    Returns
    -------
    context manager
        Gives the model itself.

    Example
    -------
    >>> from speechbrain_neuronprune import PruningPlan
    >>> model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    >>> x = torch.randn(4, 2)
    >>> with masked(model, PruningPlan({"0": torch.zeros(3).bool()})):
    ...     torch.equal(model(x), model[2].bias.expand(4, 1))
    True
    """
    check_plan(model, plan)
    groups = supported_units(model)
    before = {name: get_gate(model, groups[name]) for name in plan.keep}
    try:
        yield apply_masks(model, plan)
    finally:
        for name, gate in before.items():
            set_gate(model, groups[name], gate)


def ablate(
    model: nn.Module, plan: Any, means: Mapping[str, Tensor] | None = None
) -> nn.Module:
    """Remove units for good: mask them, and fold their means away if given.

    Arguments
    ---------
    model : nn.Module
        Changed in place.
    plan : PruningPlan
        Which units stay.
    means : mapping of str to torch.Tensor, optional
        Group name to the mean activation of each unit, (units,), at the
        input of the next Linear. That layer's bias then takes over what the
        removed units gave on average: b + W[:, removed] @ mean[removed]. The
        means are those of the model before the plan; what removing units
        does to later layers is not in them.

    Returns
    -------
    nn.Module
        The model itself; ``compact`` with the same plan makes it small.

    Raises
    ------
    PlanError
        If means are missing or do not fit, or the next Linear has no bias to
        fold them into.
    UnitsError
        If means are given for units that are not fully connected.

    Example
    -------
    >>> from speechbrain_neuronprune import PruningPlan
    >>> model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    >>> x = torch.randn(4, 2)
    >>> means = {"0": model[:2](x).mean(0)}
    >>> average = model(x).mean(0)
    >>> plan = PruningPlan({"0": torch.zeros(3).bool()})
    >>> torch.allclose(ablate(model, plan, means)(x), average, atol=1e-6)
    True
    """
    check_plan(model, plan)
    shifts = [] if means is None else _shifts(model, plan, means)
    apply_masks(model, plan)
    _apply(shifts)
    return model


@contextmanager
def mean_ablated(
    model: nn.Module, plan: Any, means: Mapping[str, Tensor]
) -> Iterator[nn.Module]:
    """Replace removed units by their mean activations, for a while.

    Arguments
    ---------
    model : nn.Module
        On leaving, also by an exception, its gates and biases are bitwise
        those from before.
    plan : PruningPlan
        Which units stay.
    means : mapping of str to torch.Tensor
        As in ``ablate``.

    Returns
    -------
    context manager
        Gives the model itself.

    Raises
    ------
    NeuronPruneError
        As ``ablate``; the model is then unchanged.
    """
    check_plan(model, plan)
    shifts = _shifts(model, plan, means)
    before = [(bias, bias.detach().clone()) for bias, _ in shifts]
    with masked(model, plan):
        try:
            _apply(shifts)
            yield model
        finally:
            with torch.no_grad():
                for bias, values in before:
                    bias.copy_(values)


@torch.no_grad()
def _apply(shifts: list[tuple[nn.Parameter, Tensor]]) -> None:
    for bias, shift in shifts:
        bias.add_(shift.to(bias.dtype))


def _shifts(
    model: nn.Module, plan: Any, means: Mapping[str, Tensor]
) -> list[tuple[nn.Parameter, Tensor]]:
    """The biases in question and what the removed units add to them; the
    whole plan is checked before anything changes."""
    groups = supported_units(model)
    return [
        _shift(model, groups[name], ~keep, means)
        for name, keep in plan.keep.items()
        if not keep.all()
    ]


@torch.no_grad()
def _shift(
    model: nn.Module,
    group: UnitGroup,
    removed: Tensor,
    means: Mapping[str, Tensor],
) -> tuple[nn.Parameter, Tensor]:
    consumer = linears_of(model, group)[1]
    bias = bias_of(consumer)
    if not isinstance(bias, nn.Parameter):
        raise PlanError(
            f"The Linear that follows group {group.name} has no bias of its "
            "own to fold means into; build the model with bias=True, or leave "
            "the group out of the plan."
        )
    mean = means.get(group.name)
    if mean is None or mean.numel() != group.size or not mean.isfinite().all():
        given = "missing" if mean is None else f"{mean.tolist()}"
        raise PlanError(
            f"The means of group {group.name} are {given:.80}; give "
            f"{group.size} finite numbers, one per unit, measured on this "
            "model."
        )
    weight = consumer.weight
    removed = removed.to(weight.device)
    mean = mean.flatten().to(weight.device)[removed]
    return bias, weight[:, removed].double() @ mean.double()

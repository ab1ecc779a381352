"""From a plan to the masked model, and to the small one that equals it.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from speechbrain_neuronprune.errors import PlanError
from speechbrain_neuronprune.gates.gate import FixedMask
from speechbrain_neuronprune.layers import form_of, set_gate
from speechbrain_neuronprune.layers.block import fold_blocks
from speechbrain_neuronprune.units import (
    UnitGroup,
    count_parameters,
    supported_units,
)


def check_plan(model: nn.Module, plan: Any) -> None:
    """Refuse what is no plan, or one that does not fit.

    Arguments
    ---------
    model : nn.Module
        Any model.
    plan : PruningPlan
        A plan for it; its file or its ``keep`` are none.

    Raises
    ------
    PlanError
        Says what to give, or names the group that does not fit.

    Example
    -------
    >>> check_plan(nn.Linear(2, 2), "plan.json")
    Traceback (most recent call last):
    ...
    speechbrain_neuronprune.errors.PlanError: A plan is needed, not a str; ...
    """
    if not hasattr(plan, "check"):
        raise PlanError(
            f"A plan is needed, not a {type(plan).__name__}; give "
            "PruningPlan.load(path) of a file, or PruningPlan(keep) of a "
            "mapping."
        )
    plan.check(model)


def apply_masks(model: nn.Module, plan: Any) -> nn.Module:
    """Make a model compute with the removed units at zero, in place.

    Arguments
    ---------
    model : nn.Module
        Gated or not; the plan's groups get fixed masks, all other gates stay.
    plan : PruningPlan
        Which units stay.

    Returns
    -------
    nn.Module
        The model itself: the masked dense model.
    """
    check_plan(model, plan)
    groups = supported_units(model)
    for name, keep in plan.keep.items():
        set_gate(model, groups[name], FixedMask(keep))
    return model


def remove_gates(model: nn.Module) -> nn.Module:
    """Take every gate out of a model, in place: all units are open.

    Arguments
    ---------
    model : nn.Module
        Gated or masked.

    Returns
    -------
    nn.Module
        The model itself.
    """
    for group in supported_units(model).values():
        set_gate(model, group, None)
    return model


def compact(model: nn.Module, plan: Any) -> nn.Module:
    """Make the smaller dense model that computes what the masked one does.

    In evaluation its output equals that of
    ``apply_masks(copy.deepcopy(model), plan)`` within float32 rounding, at
    every valid frame, with padding, any length and chunked streaming. Heads
    without value units disappear, sub-modules without units become their
    output bias. Parameter names are those of the stock model. Gates and masks
    over groups that the plan does not name are opened, whatever they decide.

    Arguments
    ---------
    model : nn.Module
        The dense model, gated or not; it is not changed.
    plan : PruningPlan
        Which units stay; groups it does not name stay whole. A plan from
        gates names all that have one.

    Returns
    -------
    nn.Module
        A new model without gates.

    Example
    -------
    >>> from speechbrain.lobes.models.transformer.Conformer import (
    ...     ConformerEncoder,
    ... )
    >>> from speechbrain_neuronprune import PruningPlan, find_units
    >>> encoder = ConformerEncoder(1, 16, 32, 2, kernel_size=3)
    >>> plan = PruningPlan(
    ...     {
    ...         n: torch.arange(g.size) % 2 < 1
    ...         for n, g in find_units(encoder).items()
    ...     }
    ... )
    >>> count_parameters(encoder), count_parameters(compact(encoder, plan))
    (4576, 2416)
    """
    check_plan(model, plan)
    return narrow(_without_gates(model), plan.keep)


def _without_gates(model: nn.Module) -> nn.Module:
    """A copy without gates, and without what it was before it shrank: it
    would save itself in the shapes that it had then."""
    bare = remove_gates(copy.deepcopy(model))
    for module in bare.modules():
        vars(module).pop("dense_form", None)
    return bare


def narrow(model: nn.Module, keep: Mapping[str, Tensor]) -> nn.Module:
    """Remove units from a model without gates, in place.

    Arguments
    ---------
    model : nn.Module
        Changed in place.
    keep : mapping of str to torch.Tensor
        Per group, bool: the units that stay; others stay whole.

    Returns
    -------
    nn.Module
        The model, or what takes the place of one that is a single layer.
    """
    for path, groups in _by_layer(model).items():
        kept = {group.site: _keep(group, keep) for group in groups}
        if all(units.all() for units in kept.values()):
            continue
        layer = model.get_submodule(path)
        changed = form_of(layer).narrow(layer, groups, kept)
        if changed is layer:
            continue
        changed.train(layer.training)
        if not path:
            return changed
        model.set_submodule(path, changed)
    fold_blocks(model)
    return model


def _keep(group: UnitGroup, keep: Mapping[str, Tensor]) -> Tensor:
    everything = torch.ones(group.size, dtype=torch.bool)
    return keep.get(group.name, everything)


def _by_layer(model: nn.Module) -> dict[str, list[UnitGroup]]:
    layers: dict[str, list[UnitGroup]] = {}
    for group in supported_units(model).values():
        layers.setdefault(group.layer, []).append(group)
    return layers


def shapes_of(
    model: nn.Module, memo: Mapping[int, Any] | None = None
) -> nn.Module:
    """Copy a model without its data: what it holds is on torch's meta device,
    and what is tied stays tied.

    Arguments
    ---------
    model : nn.Module
        Any model.
    memo : mapping, optional
        As for ``copy.deepcopy``, by id: what the copy shall hold instead.

    Returns
    -------
    nn.Module
        The copy.

    Example
    -------
    >>> model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3, bias=False))
    >>> model[1].weight = model[0].weight
    >>> shapes = shapes_of(model)
    >>> shapes[0].weight.is_meta, count_parameters(shapes)
    (True, 12)
    """
    empty: dict[int, Any] = {
        id(buffer): torch.empty_like(buffer, device="meta")
        for buffer in model.buffers()
    }
    for value in model.parameters():
        shape = torch.empty_like(value, device="meta")
        empty[id(value)] = nn.Parameter(shape, value.requires_grad)
    return copy.deepcopy(model, empty | dict(memo or {}))


class ParameterCounter:
    """Counts the parameters of compact models without building them.

    It compacts a copy that has shapes but no data (torch's meta device), so
    a count is exact whatever folds away, and cheap.

    Arguments
    ---------
    model : nn.Module
        The dense model.
    """

    def __init__(self, model: nn.Module) -> None:
        self.shapes = _without_gates(shapes_of(model))

    def __call__(self, keep: Mapping[str, Tensor]) -> int:
        """The number of parameters that are left.

        Arguments
        ---------
        keep : mapping of str to torch.Tensor
            As for ``narrow``; for instance that of a plan which fits.

        Returns
        -------
        int
            As many as ``compact`` leaves.

        Example
        -------
        >>> model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
        >>> ParameterCounter(model)({"0": torch.arange(4) < 3})
        20
        """
        return count_parameters(narrow(copy.deepcopy(self.shapes), keep))

"""Training that shrinks: units whose fate is sealed leave the model.

Compaction makes a small model after training. Here the units go while it
trains, and with them their weights, gradients and moments, so that all later
steps cost what the smaller model costs. What is left goes on as if those that
are gone had been closed for good.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from speechbrain_neuronprune.attach import adaptive_dropouts
from speechbrain_neuronprune.compaction import check_plan
from speechbrain_neuronprune.gates.schedule import RetentionSchedule
from speechbrain_neuronprune.shrinking.dense_form import (
    DenseForm,
    dense_form,
    left_units,
)
from speechbrain_neuronprune.shrinking.growing import regrow
from speechbrain_neuronprune.shrinking.optimizer_states import (
    DenseState,
    check_states,
    hand_over,
    successors,
)
from speechbrain_neuronprune.shrinking.origins import schedules, trace
from speechbrain_neuronprune.shrinking.whole_state import save_as_whole
from speechbrain_neuronprune.units import (
    UnitGroup,
    count_parameters,
    supported_units,
)

_STATES: weakref.WeakKeyDictionary[Optimizer, DenseState] = (
    weakref.WeakKeyDictionary()
)


@dataclass(frozen=True)
class Shrinking:
    """What a shrink has done.

    Arguments
    ---------
    before : int
        Parameters of the model until then, without its gates' logits.
    after : int
        Parameters that are left.
    """

    before: int
    after: int


def shrink(
    model: nn.Module, plan: Any, optimizers: Iterable[Optimizer] = ()
) -> Shrinking:
    """Let units leave a model that is in training, in place.

    The model stays the same object, and so do its blocks. Its layers get
    narrower parameters, which take the places of the old ones in the
    optimisers, with their part of the gradients and of every state beside
    them (moments, momentum). Gates shrink along.

    State dicts of the model and of the optimisers keep their old shapes: what
    is gone are zeros, and logits that are closed for good. So checkpoints from
    before and after load into either, can be averaged, and are opened like
    those of any other run. A training that is resumed loads such a checkpoint
    into the whole model first, and then shrinks it again by a plan of what
    is ``unsealed``.

    A distributed wrapper has to be made anew (``processes.rewrapped``). A
    convolution that needs some channels to run keeps them, under their gate.

    Arguments
    ---------
    model : nn.Module
        Gated or not; not wrapped.
    plan : PruningPlan
        Which units stay, over the groups that the model had at first. What
        has left before does not come back.
    optimizers : iterable of Optimizer
        All that hold parameters of the model.

    Returns
    -------
    Shrinking
        The sizes.

    Raises
    ------
    PlanError
        If the plan does not fit the model.
    TrainingError
        If an optimiser keeps something of another shape than the parameter's.

    Example
    -------
    >>> from speechbrain_neuronprune import PruningPlan
    >>> model = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1))
    >>> adam = torch.optim.Adam(model.parameters())
    >>> shrink(model, PruningPlan({"0": torch.arange(4) < 3}), [adam])
    Shrinking(before=17, after=13)
    >>> model[0].weight.shape, model.state_dict()["0.weight"].shape
    (torch.Size([3, 2]), torch.Size([4, 2]))
    """
    form = dense_form(model) or DenseForm(model)
    check_plan(form.model, plan)
    keep = _decision(form, plan)
    size = count_parameters(model)
    if all(keep[name].equal(units) for name, units in form.keep.items()):
        return Shrinking(size, size)
    before = dict(model.named_parameters())
    device = next(iter(before.values())).device
    origins = trace(model, form.remaining(keep), device)
    optimizers = {*optimizers, *_states_of(model)}
    cut = [
        before[origin.name]
        for origin in origins.values()
        if origin.name in before
        and before[origin.name].shape != origin.positions.shape
    ]
    for optimizer in optimizers:
        check_states(optimizer, cut)
    states = _states_of(model, optimizers)
    form.shrink(model, keep)
    save_as_whole(model, form)
    changed = successors(before, dict(model.named_parameters()), origins)
    for optimizer in states:
        hand_over(optimizer, changed)
    return Shrinking(size, count_parameters(model))


def grow(model: nn.Module) -> None:
    """Give a model that shrank its shapes back, in place.

    What had left comes back as zeros, and as gates that are closed for good,
    so the model computes the same. Everything that reads finished runs takes
    it from there.

    Arguments
    ---------
    model : nn.Module
        One that shrank, or any other, which stays as it is. Its optimisers
        get the parameters, and their states the shapes, from before.

    Example
    -------
    >>> from speechbrain_neuronprune import PruningPlan
    >>> model = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1))
    >>> _ = shrink(model, PruningPlan({"0": torch.arange(4) < 3}))
    >>> grow(model)
    >>> model[0].weight[3]
    tensor([0., 0.], grad_fn=<SelectBackward0>)
    """
    form = dense_form(model)
    if form is None:
        return
    states = _states_of(model)
    saved = {optimizer: optimizer.state_dict() for optimizer in states}
    before = set(model.parameters())
    regrow(model, form)
    after = dict(model.named_parameters())
    for optimizer, state in states.items():
        del _STATES[optimizer]
        state.grow(optimizer, before, after)
        optimizer.load_state_dict(saved[optimizer])


def whole_form(model: nn.Module) -> nn.Module:
    """A model as it was before it shrank, to plan by and to count.

    Arguments
    ---------
    model : nn.Module
        Any model.

    Returns
    -------
    nn.Module
        The model itself if it never shrank; else one with all groups, all
        logits, and shapes without data.
    """
    form = dense_form(model)
    if form is None:
        return model
    form.read_gates(model)
    return form.model


def schedule_of(model: nn.Module) -> RetentionSchedule | None:
    """c(t) of a model's gates, also of gates that have left it.

    Arguments
    ---------
    model : nn.Module
        Any model.

    Returns
    -------
    RetentionSchedule or None
        The first one; None for a model without gates that did not shrink.
    """
    form = dense_form(model)
    whole = model if form is None else form.model
    return next(iter(schedules(whole).values()), None)


def remaining(model: nn.Module, plan: Any) -> dict[str, Tensor]:
    """A plan's decisions over the units that are left.

    Arguments
    ---------
    model : nn.Module
        One that shrank, or any other.
    plan : PruningPlan
        Over the groups that the model had at first.

    Returns
    -------
    dict of str to torch.Tensor
        As in ``PruningPlan.keep``, for the model as it is.
    """
    form = dense_form(model)
    keep = plan.keep if form is None else form.remaining(plan.keep)
    groups = supported_units(model)
    return {name: units for name, units in keep.items() if name in groups}


def unsealed(model: nn.Module) -> dict[str, Tensor]:
    """The units that nobody has closed for good, as the logits tell.

    Arguments
    ---------
    model : nn.Module
        A gated model, for instance after loading a checkpoint.

    Returns
    -------
    dict of str to torch.Tensor
        As in ``PruningPlan.keep``.
    """
    gates = adaptive_dropouts(model)
    return {name: left_units(gate).cpu() for name, gate in gates.items()}


def _decision(form: DenseForm, plan: Any) -> dict[str, Tensor]:
    """Which of all units are left after a plan."""
    groups = supported_units(form.model)
    keep = {
        name: units & plan.keep.get(name, units)
        for name, units in form.keep.items()
    }
    sites: dict[str, dict[str, UnitGroup]] = {}
    for group in groups.values():
        sites.setdefault(group.layer, {})[group.site] = group
        _leave_enough(group, keep[group.name], form.keep[group.name])
    for layer in sites.values():
        if {"query", "value"} <= layer.keys():
            _drop_queries(layer["query"], layer["value"], keep)
    return keep


def _leave_enough(group: UnitGroup, keep: Tensor, here: Tensor) -> None:
    """A layer that cannot run with fewer units keeps some of them, which
    their gate closes."""
    missing = max(0, group.least - int(keep.sum()))
    keep[(here & ~keep).nonzero().flatten()[:missing]] = True


def _drop_queries(
    query: UnitGroup, value: UnitGroup, keep: dict[str, Tensor]
) -> None:
    """A head without values is gone, whatever its queries say."""
    values = keep[value.name].split(list(value.widths))
    queries = keep[query.name].split(list(query.widths))
    heads = zip(queries, values, strict=True)
    keep[query.name] = torch.cat([q & v.any() for q, v in heads])


def _states_of(
    model: nn.Module, optimizers: Iterable[Optimizer] = ()
) -> dict[Optimizer, DenseState]:
    """The optimisers of a model, those that it shrank with included."""
    for optimizer in optimizers:
        if optimizer not in _STATES:
            _STATES[optimizer] = DenseState(optimizer, model)
    return {o: state for o, state in _STATES.items() if state.model is model}

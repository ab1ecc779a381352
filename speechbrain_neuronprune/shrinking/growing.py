"""A model that shrank gets its shapes back.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import copy
from collections.abc import Mapping
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from speechbrain_neuronprune.attach import adaptive_dropouts
from speechbrain_neuronprune.gates.following import follow_optimizer
from speechbrain_neuronprune.shrinking.dense_form import (
    DenseForm,
    device_of,
    filled,
)
from speechbrain_neuronprune.shrinking.origins import schedules
from speechbrain_neuronprune.shrinking.whole_state import save_as_is
from speechbrain_neuronprune.units import supported_units
from speechbrain_neuronprune.units.chains import ELEMENTWISE
from speechbrain_neuronprune.units.kinds import runs_as


@torch.no_grad()
def regrow(live: nn.Module, form: DenseForm) -> None:
    """Give a model its shapes back, with zeros for what is gone.

    Arguments
    ---------
    live : nn.Module
        The model that shrank, changed in place.
    form : DenseForm
        What it was before.
    """
    state = live.state_dict()
    modes = {path: m.training for path, m in live.named_modules()}
    memo = _entries(form, live, state) | _uncut(form, live)
    save_as_is(live)
    for path, module in form.model.named_modules():
        if id(module) not in memo:  # nor a part of one that was
            _put(live, path, copy.deepcopy(module, memo))
    for path, module in live.named_modules():
        parent = path.rpartition(".")[0]
        module.training = modes.setdefault(path, modes[parent])
    groups = supported_units(live)
    for name, gate in adaptive_dropouts(live).items():
        gate.cost = groups[name].parameters_per_unit
        if name in form.pulls:
            learns = gate.logits.requires_grad
            follow_optimizer(gate.schedule, [gate], form.pulls[name])
            gate.logits.requires_grad_(learns)
    live.load_state_dict(state)


def _entries(
    form: DenseForm, live: nn.Module, state: Mapping[str, Tensor]
) -> dict[int, Any]:
    """Memo for ``copy.deepcopy``: entries of the old shapes, which learn if
    what is left of them does."""
    origins, device = form.origins(live), device_of(live)
    learns = {
        origins[name].name: value.requires_grad
        for name, value in live.named_parameters()
    }
    memo: dict[int, Any] = dict(schedules(form.model))
    entries = form.model.named_parameters(), form.model.named_buffers()
    for name, value in chain(*entries):
        # Not all buffers are saved.
        dtype = state.get(name, value).dtype
        entry = filled(value, device).to(dtype)
        if isinstance(value, nn.Parameter):
            learn = learns.get(name, value.requires_grad)
            entry = nn.Parameter(entry, learn)
        memo[id(value)] = entry
    return memo


def _uncut(form: DenseForm, live: nn.Module) -> dict[int, Any]:
    """Memo for ``copy.deepcopy``: outside of layers that were cut, and where
    nothing is held per unit, modules stay what they are now."""
    cut = {
        group.layer
        for name, group in supported_units(form.model).items()
        if not form.keep[name].all()
    }
    now = dict(live.named_modules(remove_duplicate=False))
    memo: dict[int, Any] = {}
    for path, module in form.model.named_modules(remove_duplicate=False):
        one = now.get(path)
        inside = any(_is_within(path, layer) for layer in cut)
        if type(one) is not type(module) or (
            inside and not runs_as(one, ELEMENTWISE)
        ):
            continue
        memo[id(module)] = one
        for name, value in module._parameters.items():
            memo[id(value)] = one._parameters.get(name)
    return memo


def _is_within(path: str, layer: str) -> bool:
    return not layer or f"{path}.".startswith(f"{layer}.")


def _put(model: nn.Module, path: str, module: nn.Module) -> None:
    """Put a module in its place. Whoever holds the model itself, or watches it
    by hooks, still does."""
    if path:
        model.set_submodule(path, module)
    else:
        parts = vars(module).items()
        vars(model).update({k: v for k, v in parts if "hooks" not in k})

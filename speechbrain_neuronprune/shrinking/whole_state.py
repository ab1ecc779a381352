"""State dicts of a model that shrank, in the shapes from before.

Hooks let it save and load itself as if nothing had left it: what is gone are
zeros, and gates that are closed for good.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from speechbrain_neuronprune.shrinking.dense_form import (
    DenseForm,
    dense_form,
    device_of,
    filled,
)


def save_as_whole(live: nn.Module, form: DenseForm) -> None:
    """Let a model save and load itself in the shapes from before.

    Arguments
    ---------
    live : nn.Module
        The model that shrank; it gets the form and hooks.
    form : DenseForm
        What it was before.
    """
    if dense_form(live) is None:
        live.dense_form = form
        form.handles = [
            live.register_state_dict_post_hook(_save_whole),
            live.register_load_state_dict_pre_hook(_load_part),
        ]


def save_as_is(live: nn.Module) -> None:
    """Let a model save and load itself in the shapes that it has.

    Arguments
    ---------
    live : nn.Module
        The model that shrank; its form and hooks go.
    """
    for handle in dense_form(live).handles:
        handle.remove()
    del live.dense_form


def whole_state(
    form: DenseForm, live: nn.Module, state: Mapping[str, Any]
) -> dict[str, Any]:
    """The state dict that the model would have had.

    Arguments
    ---------
    form : DenseForm
        What the model was before it shrank.
    live : nn.Module
        The model that shrank.
    state : mapping
        Its own state dict.

    Returns
    -------
    dict
        In the shapes from before: zeros for what is gone, closed gates for
        its units.
    """
    form.read_gates(live)
    origins, device = form.origins(live), device_of(live)
    parts = {
        origin.name: (origin, state[name])
        for name, origin in origins.items()
        if name in state
    }
    dense, whole = form.model.state_dict(), {}
    # What has left is of the type that what is left may be cast to since.
    casts = {
        dense[origin.name].dtype: part.dtype for origin, part in parts.values()
    }
    for name, value in dense.items():
        base = filled(value, device, casts)
        if name in parts and torch.is_tensor(base):
            origin, part = parts[name]
            base = origin.spread(part, base)
        elif name in state and name not in origins:
            base = state[name]
        whole[name] = base
    return whole


def part_of(
    form: DenseForm,
    live: nn.Module,
    own: Mapping[str, Any],
    whole: Mapping[str, Any],
) -> dict[str, Any]:
    """What the model that shrank shall load of a state dict.

    Arguments
    ---------
    form : DenseForm
        What the model was before it shrank.
    live : nn.Module
        The model that shrank.
    own : mapping
        Its own state dict.
    whole : mapping
        A state dict in the shapes from before.

    Returns
    -------
    dict
        What is left of ``whole``, by the names that entries have now.
    """
    origins, dense = form.origins(live), form.model.state_dict()
    part = {name: v for name, v in whole.items() if name not in dense}
    for name, value in own.items():
        origin = origins.get(name)
        source = name if origin is None else origin.name
        if source not in dense:
            part[name] = value  # narrowing has made it
        elif source in whole:
            given = whole[source]
            cut = origin and given.shape == dense[source].shape
            part[name] = origin.take(given) if cut else given
    return part


def _save_whole(
    module: nn.Module, state: dict, prefix: str, metadata: dict
) -> None:
    """After ``state_dict``: put the whole state in place of the part."""
    form = dense_form(module)
    if form is not None:
        whole = whole_state(form, module, _pop(state, prefix))
        state.update({prefix + name: one for name, one in whole.items()})


def _load_part(
    module: nn.Module, state: dict, prefix: str, *others: Any
) -> None:
    """Before ``load_state_dict``: take the part of a whole state."""
    form = dense_form(module)
    if form is not None:
        own = _own_state(module)
        part = part_of(form, module, own, _pop(state, prefix))
        state.update({prefix + name: one for name, one in part.items()})


def _pop(state: dict, prefix: str) -> dict[str, Any]:
    """The entries of one module, taken out of a state dict."""
    names = [name for name in state if name.startswith(prefix)]
    return {name.removeprefix(prefix): state.pop(name) for name in names}


def _own_state(module: nn.Module) -> dict[str, Any]:
    form = vars(module).pop("dense_form")
    try:
        return module.state_dict()
    finally:
        module.dense_form = form

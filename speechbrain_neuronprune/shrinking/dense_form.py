"""What a model that shrinks in training was before it shrank.

Its shapes are remembered, without data. By them the model saves and loads
itself as if nothing had left it: what is gone are zeros, and gates that are
closed for good. So all checkpoints of a run are of one shape, whenever units
left, and whoever reads them needs to know nothing of it.

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
from speechbrain_neuronprune.compaction import shapes_of
from speechbrain_neuronprune.gates.adaptive_dropout import AdaptiveDropout
from speechbrain_neuronprune.gates.following import follow_optimizer
from speechbrain_neuronprune.layers import set_gate
from speechbrain_neuronprune.shrinking.origins import (
    Origin,
    narrow_gated,
    schedules,
    trace,
)
from speechbrain_neuronprune.units import supported_units
from speechbrain_neuronprune.units.chains import ELEMENTWISE
from speechbrain_neuronprune.units.kinds import runs_as

# Logits of units that have left, in units of beta. Farther away than whatever
# settles or steers takes the logits of others.
GONE = -1e4


class DenseForm:
    """The shapes of a model before it shrank, its gates, and what is left.

    Arguments
    ---------
    model : nn.Module
        Before anything has left it.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = _form_of(model)
        self.handles: list[Any] = []
        self.pulls = _pulls_of(model)
        self.keep = {
            name: torch.ones(group.size, dtype=torch.bool)
            for name, group in supported_units(model).items()
        }

    def remaining(self, keep: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A decision over the units from before, for those that are left.

        Arguments
        ---------
        keep : mapping of str to torch.Tensor
            Per group, bool, over the units that there were.

        Returns
        -------
        dict of str to torch.Tensor
            The same over the units that are left; only groups that ``keep``
            names.
        """
        return {
            name: keep[name].cpu()[here]
            for name, here in self.keep.items()
            if name in keep
        }

    def origins(self, live: nn.Module) -> dict[str, Origin]:
        """Where the entries of the model that shrank were.

        Arguments
        ---------
        live : nn.Module
            The model that shrank.

        Returns
        -------
        dict of str to Origin
            By the name that the entry has now.
        """
        self.adopt_gates(live)
        return trace(self.model, self.keep, _device(live))

    # ------------------------------------------------------------- the gates

    def adopt_gates(self, live: nn.Module) -> None:
        """Take in what was attached to the model since it shrank, as if it
        had been before.

        Arguments
        ---------
        live : nn.Module
            The model that shrank.
        """
        new = adaptive_dropouts(live)
        for name in adaptive_dropouts(self.model):
            new.pop(name, None)
        if not new:
            return
        groups, device = supported_units(self.model), _device(live)
        memo: dict[int, Any] = dict(schedules(self.model))
        for value in self.model.parameters():
            entry = _filled(value, device)
            memo[id(value)] = nn.Parameter(entry, value.requires_grad)
        whole = copy.deepcopy(self.model, memo)
        for name, gate in new.items():
            size = groups[name].size
            one = type(gate)(size, schedule=gate.schedule, scale=gate.scale)
            set_gate(whole, groups[name], one)
        self.model = _form_of(whole)
        self.pulls = _pulls_of(live) | self.pulls
        self.close()

    @torch.no_grad()
    def read_gates(self, live: nn.Module) -> None:
        """Take over the logits of the units that are left, wherever the model
        is now.

        Arguments
        ---------
        live : nn.Module
            The model that shrank, on any device.
        """
        self.adopt_gates(live)
        gates, device = adaptive_dropouts(live), _device(live)
        for name, whole in adaptive_dropouts(self.model).items():
            logits = whole.to(device).logits
            if name in gates:
                left = gates[name].logits
                logits[self.keep[name].to(device)] = left.to(logits.dtype)
                logits.requires_grad_(left.requires_grad)

    @torch.no_grad()
    def close(self) -> None:
        """Write into the logits which units are gone: a checkpoint tells it
        by them, as it does of settled ones."""
        for name, gate in adaptive_dropouts(self.model).items():
            newly = left_units(gate) & ~self.keep[name].to(gate.logits.device)
            gate.logits[newly] += GONE / gate.scale

    # ------------------------------------------------------------ state dicts

    def whole_state(
        self, live: nn.Module, state: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The state dict that the model would have had.

        Arguments
        ---------
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
        self.read_gates(live)
        origins, device = self.origins(live), _device(live)
        parts = {
            origin.name: (origin, state[name])
            for name, origin in origins.items()
            if name in state
        }
        dense, whole = self.model.state_dict(), {}
        # What has left is of the type that what is left may be cast to since.
        casts = {
            dense[origin.name].dtype: part.dtype
            for origin, part in parts.values()
        }
        for name, value in dense.items():
            base = _filled(value, device, casts)
            if name in parts and torch.is_tensor(base):
                origin, part = parts[name]
                base = origin.spread(part, base)
            elif name in state and name not in origins:
                base = state[name]
            whole[name] = base
        return whole

    def part_of(
        self,
        live: nn.Module,
        own: Mapping[str, Any],
        whole: Mapping[str, Any],
    ) -> dict[str, Any]:
        """What the model that shrank shall load of a state dict.

        Arguments
        ---------
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
        origins, dense = self.origins(live), self.model.state_dict()
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

    # -------------------------------------------------------------- to and fro

    def shrink(self, live: nn.Module, keep: Mapping[str, Tensor]) -> None:
        """Remove more units from the model; hooks then see to its states.

        Arguments
        ---------
        live : nn.Module
            The model, changed in place.
        keep : mapping of str to torch.Tensor
            Per group, bool, over the units that there were.
        """
        narrow_gated(live, self.remaining(keep))
        self.keep = dict(keep)
        self.close()
        if dense_form(live) is None:
            live.dense_form = self
            self.handles = [
                live.register_state_dict_post_hook(_save_whole),
                live.register_load_state_dict_pre_hook(_load_part),
            ]

    @torch.no_grad()
    def grow(self, live: nn.Module) -> None:
        """Give a model its shapes back, with zeros for what is gone.

        Arguments
        ---------
        live : nn.Module
            The model that shrank, changed in place.
        """
        state = live.state_dict()
        modes = {path: m.training for path, m in live.named_modules()}
        memo = self._entries(live, state) | self._uncut(live)
        for handle in self.handles:
            handle.remove()
        del live.dense_form
        for path, module in self.model.named_modules():
            if id(module) not in memo:  # nor a part of one that was
                _put(live, path, copy.deepcopy(module, memo))
        for path, module in live.named_modules():
            parent = path.rpartition(".")[0]
            module.training = modes.setdefault(path, modes[parent])
        for name, gate in adaptive_dropouts(live).items():
            if name in self.pulls:
                follow_optimizer(gate.schedule, [gate], self.pulls[name])
        live.load_state_dict(state)

    def _entries(
        self, live: nn.Module, state: Mapping[str, Tensor]
    ) -> dict[int, Any]:
        """Memo for ``copy.deepcopy``: entries of the old shapes, which learn
        if what is left of them does."""
        origins, device = self.origins(live), _device(live)
        learns = {
            origins[name].name: value.requires_grad
            for name, value in live.named_parameters()
        }
        memo: dict[int, Any] = dict(schedules(self.model))
        entries = self.model.named_parameters(), self.model.named_buffers()
        for name, value in chain(*entries):
            # Not all buffers are saved.
            dtype = state.get(name, value).dtype
            entry = _filled(value, device).to(dtype)
            if isinstance(value, nn.Parameter):
                learn = learns.get(name, value.requires_grad)
                entry = nn.Parameter(entry, learn)
            memo[id(value)] = entry
        return memo

    def _uncut(self, live: nn.Module) -> dict[int, Any]:
        """Memo for ``copy.deepcopy``: outside of layers that were cut, and
        where nothing is held per unit, modules stay what they are now."""
        cut = {
            group.layer
            for name, group in supported_units(self.model).items()
            if not self.keep[name].all()
        }
        now = dict(live.named_modules(remove_duplicate=False))
        memo: dict[int, Any] = {}
        for path, module in self.model.named_modules(remove_duplicate=False):
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


def dense_form(model: nn.Module) -> DenseForm | None:
    """The form that a model had before it shrank; None if it never did.

    Arguments
    ---------
    model : nn.Module
        Any model.

    Returns
    -------
    DenseForm or None
        What the model keeps as ``dense_form``.

    Example
    -------
    >>> dense_form(nn.Linear(2, 2)) is None
    True
    """
    return getattr(model, "dense_form", None)


def left_units(gate: AdaptiveDropout) -> Tensor:
    """The units of a gate that nobody has closed for good.

    Arguments
    ---------
    gate : AdaptiveDropout
        Settled or not.

    Returns
    -------
    torch.Tensor
        Bool, of the shape of the gate.

    Example
    -------
    >>> from speechbrain_neuronprune.gates.schedule import RetentionSchedule
    >>> left_units(AdaptiveDropout(2, schedule=RetentionSchedule(steps=10)))
    tensor([True, True])
    """
    limit = 0.0 if gate.settled else GONE / 2
    return gate.scale * gate.logits.detach().float() > limit


def _pulls_of(model: nn.Module) -> dict[str, float]:
    """The weights of the penalties of gates that follow an optimiser."""
    pulls: dict[str, float] = {}
    for name, gate in adaptive_dropouts(model).items():
        follower = gate.schedule.follower
        followed = {} if follower is None else dict(follower.pulls)
        if gate in followed:
            pulls[name] = followed[gate]
    return pulls


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device


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


def _form_of(model: nn.Module) -> nn.Module:
    """A copy without data. What is small stays: the logits are copied,
    buffers shared, and so is c(t)."""
    memo: dict[int, Any] = dict(schedules(model))
    memo |= {id(buffer): buffer for buffer in model.buffers()}
    for gate in adaptive_dropouts(model).values():
        memo[id(gate.logits)] = copy.deepcopy(gate.logits)
    return shapes_of(model, memo)


def _filled(
    value: Any,
    device: torch.device,
    casts: Mapping[torch.dtype, torch.dtype] | None = None,
) -> Any:
    if not torch.is_tensor(value):
        return value
    dtype = (casts or {}).get(value.dtype, value.dtype)
    if value.is_meta:
        return torch.zeros_like(value, device=device, dtype=dtype)
    return value.detach().to(device, dtype, copy=True)


def _save_whole(
    module: nn.Module, state: dict, prefix: str, metadata: dict
) -> None:
    """After ``state_dict``: put the whole state in place of the part."""
    form = dense_form(module)
    if form is not None:
        part = _pop(state, prefix)
        whole = form.whole_state(module, part)
        state.update({prefix + name: one for name, one in whole.items()})


def _load_part(
    module: nn.Module, state: dict, prefix: str, *others: Any
) -> None:
    """Before ``load_state_dict``: take the part of a whole state."""
    form = dense_form(module)
    if form is not None:
        own = _own_state(module)
        part = form.part_of(module, own, _pop(state, prefix))
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

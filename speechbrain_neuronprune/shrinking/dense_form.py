"""What a model that shrinks in training was before it shrank.

Its shapes are remembered, without data, and so are its gates. By them the model
saves and loads itself as if nothing had left it. So all checkpoints of a run
are of one shape, whenever units left, and whoever reads them needs to know
nothing of it.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from speechbrain_neuronprune.attach import adaptive_dropouts
from speechbrain_neuronprune.compaction import shapes_of
from speechbrain_neuronprune.gates.adaptive_dropout import (
    GONE,
    AdaptiveDropout,
)
from speechbrain_neuronprune.layers import set_gate
from speechbrain_neuronprune.shrinking.origins import (
    Origin,
    narrow_gated,
    schedules,
    trace,
)
from speechbrain_neuronprune.units import supported_units


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
        return trace(self.model, self.keep, device_of(live))

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
        groups, device = supported_units(self.model), device_of(live)
        memo: dict[int, Any] = dict(schedules(self.model))
        for value in self.model.parameters():
            entry = filled(value, device)
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
        gates, device = adaptive_dropouts(live), device_of(live)
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

    def shrink(self, live: nn.Module, keep: Mapping[str, Tensor]) -> None:
        """Remove more units from the model.

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


def device_of(model: nn.Module) -> torch.device:
    """Where a model's parameters are.

    Arguments
    ---------
    model : nn.Module
        All of it is on one device.

    Returns
    -------
    torch.device
        That of its first parameter.

    Example
    -------
    >>> device_of(nn.Linear(2, 2))
    device(type='cpu')
    """
    return next(model.parameters()).device


def filled(
    value: Any,
    device: torch.device,
    casts: Mapping[torch.dtype, torch.dtype] | None = None,
) -> Any:
    """An entry of a form with data: zeros where it has a shape only.

    Arguments
    ---------
    value : Any
        The entry.
    device : torch.device
        Where its data shall be.
    casts : mapping, optional
        What its type shall become, where that is another one.

    Returns
    -------
    Any
        A new tensor; what is no tensor, as it is.

    Example
    -------
    >>> filled(torch.empty(2, device="meta"), torch.device("cpu"))
    tensor([0., 0.])
    """
    if not torch.is_tensor(value):
        return value
    dtype = (casts or {}).get(value.dtype, value.dtype)
    if value.is_meta:
        return torch.zeros_like(value, device=device, dtype=dtype)
    return value.detach().to(device, dtype, copy=True)


def _pulls_of(model: nn.Module) -> dict[str, float]:
    """The weights of the penalties of gates that follow an optimiser."""
    pulls: dict[str, float] = {}
    for name, gate in adaptive_dropouts(model).items():
        follower = gate.schedule.follower
        followed = {} if follower is None else dict(follower.pulls)
        if gate in followed:
            pulls[name] = followed[gate]
    return pulls


def _form_of(model: nn.Module) -> nn.Module:
    """A copy without data. What is small stays: the logits are copied,
    buffers shared, and so is c(t)."""
    memo: dict[int, Any] = dict(schedules(model))
    memo |= {id(buffer): buffer for buffer in model.buffers()}
    for gate in adaptive_dropouts(model).values():
        memo[id(gate.logits)] = copy.deepcopy(gate.logits)
    return shapes_of(model, memo)

"""Where the entries of a narrower model were before it was narrowed.

Narrowing cuts rows, columns and channels, gives parameters another name and
drops some. Instead of saying so a second time, a copy whose entries are
numbered is narrowed: what is left of it tells where everything comes from.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor, nn

from speechbrain_neuronprune.compaction import narrow, remove_gates
from speechbrain_neuronprune.errors import PlanError
from speechbrain_neuronprune.gates.adaptive_dropout import AdaptiveDropout
from speechbrain_neuronprune.gates.gate import UnitGate
from speechbrain_neuronprune.gates.schedule import RetentionSchedule
from speechbrain_neuronprune.layers import get_gate, set_gate
from speechbrain_neuronprune.layers.slicing import replace_entry
from speechbrain_neuronprune.units import supported_units
from speechbrain_neuronprune.units.vectors import join


@dataclass(frozen=True)
class Origin:
    """Where a tensor's entries were.

    Arguments
    ---------
    name : str
        The parameter or buffer that they were in.
    positions : torch.Tensor
        Of the tensor's shape: their positions there, counted flat.
    """

    name: str
    positions: Tensor

    def take(self, whole: Tensor) -> Tensor:
        """What is left of a tensor of the shape from before.

        Arguments
        ---------
        whole : torch.Tensor
            The parameter or buffer as it was.

        Returns
        -------
        torch.Tensor
            Of the shape that it has now.

        Example
        -------
        >>> Origin("weight", torch.tensor([0, 2])).take(torch.tensor([5, 6, 7]))
        tensor([5, 7])
        """
        index = self.positions.to(whole.device).long()
        return whole.flatten()[index.flatten()].view(index.shape)

    def spread(self, part: Tensor, base: Tensor) -> Tensor:
        """Put what is left back where it was; all else is as in ``base``.

        Arguments
        ---------
        part : torch.Tensor
            What is left.
        base : torch.Tensor
            Of the shape from before; it is not changed.

        Returns
        -------
        torch.Tensor
            Of the shape of ``base``, with the device and dtype of ``part``.

        Example
        -------
        >>> origin = Origin("weight", torch.tensor([0, 2]))
        >>> origin.spread(torch.tensor([5, 7]), torch.zeros(3))
        tensor([5, 0, 7])
        """
        index = self.positions.to(part.device).long()
        whole = base.to(part.device, part.dtype, copy=True).flatten()
        whole[index.flatten()] = part.detach().flatten()
        return whole.view(base.shape)


def cut_entries(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """What narrowing may cut: parameters, and saved buffers of floats.

    Arguments
    ---------
    model : nn.Module
        Any model.

    Returns
    -------
    iterator of (str, torch.Tensor)
        Names and tensors.
    """
    yield from model.named_parameters()
    for path, module in model.named_modules():
        for name, buffer in module.named_buffers(recurse=False):
            saved = name not in module._non_persistent_buffers_set
            if saved and buffer.ndim and buffer.is_floating_point():
                yield join(path, name), buffer


def all_gates(model: nn.Module) -> dict[str, UnitGate]:
    """The gates of a model, of whatever kind, by their group's name.

    Arguments
    ---------
    model : nn.Module
        Gated or not.

    Returns
    -------
    dict of str to UnitGate
        In forward order.
    """
    groups = supported_units(model).items()
    gates = {name: get_gate(model, group) for name, group in groups}
    return {name: gate for name, gate in gates.items() if gate is not None}


def narrow_gated(model: nn.Module, keep: Mapping[str, Tensor]) -> None:
    """Remove units from a model in place; its gates shrink along.

    Arguments
    ---------
    model : nn.Module
        Gated or not.
    keep : mapping of str to torch.Tensor
        For every group, which units stay.

    Raises
    ------
    PlanError
        If another module would have to take the model's own place.
    """
    gates = all_gates(model)
    if narrow(remove_gates(model), keep) is not model:
        raise PlanError(
            f"A {type(model).__name__} that is one layer cannot lose all its "
            "units while it trains; put it into a container, or keep a unit."
        )
    groups = supported_units(model)
    for name in gates.keys() & groups.keys():
        _cut_gate(gates[name], keep[name])
        set_gate(model, groups[name], gates[name])


@torch.no_grad()
def _cut_gate(gate: UnitGate, keep: Tensor) -> None:
    """What a gate holds per unit ends with the gate's shape."""
    held = (
        *gate.named_parameters(recurse=False),
        *gate.named_buffers(recurse=False),
    )
    for name, value in held:
        if tuple(value.shape)[-len(gate.shape) :] == gate.shape:
            units = keep.to(value.device).view(gate.shape)
            replace_entry(gate, name, value.detach()[..., units])
    gate.shape = (int(keep.sum()),)
    if isinstance(gate, AdaptiveDropout):
        gate.recall()


def schedules(model: nn.Module) -> dict[int, nn.Module]:
    """Memo for ``copy.deepcopy`` by which a copy shares the schedules.

    It must not advance a c(t) of its own.

    Arguments
    ---------
    model : nn.Module
        The model that is to be copied.

    Returns
    -------
    dict of int to nn.Module
        By id, the schedules of the model.

    Example
    -------
    >>> model = nn.Sequential(RetentionSchedule(steps=10))
    >>> copy.deepcopy(model, schedules(model))[0] is model[0]
    True
    """
    return {
        id(module): module
        for module in model.modules()
        if isinstance(module, RetentionSchedule)
    }


def trace(
    model: nn.Module, keep: Mapping[str, Tensor], device: torch.device
) -> dict[str, Origin]:
    """Find out what narrowing does to a model, which is not changed.

    Arguments
    ---------
    model : nn.Module
        It may have shapes only.
    keep : mapping of str to torch.Tensor
        For every group, which units stay.
    device : torch.device
        Where the model's buffers are.

    Returns
    -------
    dict of str to Origin
        For every parameter and saved buffer of the narrower model.

    Raises
    ------
    PlanError
        As ``narrow_gated``.
    """
    numbers = _number(model, device)
    copied = {id(value): numbers[name] for name, value in cut_entries(model)}
    numbered = copy.deepcopy(model, schedules(model) | copied)
    narrow_gated(numbered, keep)
    names = list(numbers)
    starts = torch.tensor([0] + [n.numel() for n in numbers.values()]).cumsum(0)
    found = {}
    for name, value in chain(
        numbered.named_parameters(), numbered.named_buffers()
    ):
        if isinstance(value, nn.Parameter) or name in numbers:
            found[name] = _origin(name, value.detach(), names, starts)
    return found


def _number(model: nn.Module, device: torch.device) -> dict[str, Tensor]:
    """Tensors in place of a model's, in which no number comes twice."""
    total = sum(value.numel() for _, value in cut_entries(model))
    dtype = torch.int32 if total < 2**31 else torch.int64
    numbers, start = {}, 0
    for name, value in cut_entries(model):
        stop = start + value.numel()
        counted = torch.arange(start, stop, dtype=dtype, device=device)
        counted, start = counted.view(value.shape), stop
        if isinstance(value, nn.Parameter):
            counted = nn.Parameter(counted, requires_grad=False)
        numbers[name] = counted
    return numbers


def _origin(
    name: str, numbers: Tensor, names: list[str], starts: Tensor
) -> Origin:
    if not numbers.numel():
        return Origin(name, numbers)
    first = numbers.flatten()[0].cpu()
    place = int(torch.searchsorted(starts, first, right=True)) - 1
    return Origin(names[place], numbers - int(starts[place]))

"""The gate of a chain's units: one draw wherever it matters.

A unit is gone when it is zero at the input of the next layer. A LayerNorm on
the way there takes statistics over all units, so the same mask is applied to
its input as well, with one draw for all places.

The masks act in forward pre-hooks: the stages of a container keep their
names and their places, whatever kind of container it is.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from speechbrain_neuronprune.gates.gate import UnitGate
from speechbrain_neuronprune.layers.shared_draw import Follower, SharedDraw


class ChainGate(SharedDraw):
    """Gates the inputs of several stages by one draw per forward pass.

    It is the ``gate`` of the last stage; the others have followers of it.

    Arguments
    ---------
    units : UnitGate
        The gate over the units.
    places : sequence of nn.Module
        The stages whose inputs are the units, in forward order.
    """

    def __init__(self, units: UnitGate, places: Sequence[nn.Module]) -> None:
        super().__init__(units)
        *others, consumer = places
        consumer.gate = self
        for number, stage in enumerate(others):
            stage.gate = Follower()
            setattr(self, f"follower_{number}", stage.gate)
        self.handles = [
            stage.register_forward_pre_hook(
                _MaskInput(first=place == 0, last=stage is consumer)
            )
            for place, stage in enumerate(places)
        ]

    def remove(self) -> None:
        """Take the hooks away."""
        for handle in self.handles:
            handle.remove()

    def forward(
        self, x: Tensor, first: bool = True, last: bool = True
    ) -> Tensor:
        """Multiply the units by the draw of this pass.

        Units may be there several times, band after band.

        Arguments
        ---------
        x : torch.Tensor
            (batch, ..., units), or (units,) of one utterance.
        first : bool
            Whether this is the first place of a pass.
        last : bool
            Whether it is the last one, after which a draw is forgotten.

        Returns
        -------
        torch.Tensor
            As ``x``.
        """
        mask = self.mask(len(x) if x.ndim > 1 else 1, x.dtype, first, last)
        if mask is None:
            return x
        mask = mask.to(x.dtype)
        if x.shape[-1] > mask.shape[-1]:
            mask = mask.repeat(1, x.shape[-1] // mask.shape[-1])
        if x.ndim == 1:
            return x * mask[0]
        return x * mask.view(len(mask), *[1] * (x.ndim - 2), mask.shape[-1])


class _MaskInput:
    """The pre-hook of one stage; a class, so that it is copied and pickled
    together with the model. It knows no gate: that of a replica is another."""

    def __init__(self, first: bool, last: bool) -> None:
        self.first, self.last = first, last

    def __call__(self, stage: nn.Module, inputs: tuple) -> tuple[Any, ...]:
        x, *others = inputs
        return stage.gate.leader(x, self.first, self.last), *others


def gate_of(consumer: nn.Module) -> UnitGate | None:
    """The gate over the inputs of a layer, or None.

    Arguments
    ---------
    consumer : nn.Module
        The layer that consumes the units.

    Returns
    -------
    UnitGate or None
        What multiplies its inputs.

    Example
    -------
    >>> import torch
    >>> from speechbrain_neuronprune.gates.gate import FixedMask
    >>> layer = nn.Linear(3, 1)
    >>> gate_of(layer) is None
    True
    >>> replace_gate(FixedMask(torch.tensor([True, False, True])), [layer])
    >>> gate_of(layer).keep()
    tensor([ True, False,  True])
    """
    gate = getattr(consumer, "gate", None)
    return None if gate is None else gate.units


def replace_gate(gate: UnitGate | None, places: Sequence[nn.Module]) -> None:
    """Put a gate over the inputs of some stages, in place of any that is
    there.

    It is registered with the last of them, the layer that consumes the units.

    Arguments
    ---------
    gate : UnitGate or None
        The new gate; None removes the present one.
    places : sequence of nn.Module
        The stages whose inputs are the units, in forward order.

    Example
    -------
    >>> import torch
    >>> from speechbrain_neuronprune.gates.gate import FixedMask
    >>> layer = nn.Linear(2, 1, bias=False)
    >>> _ = nn.init.ones_(layer.weight)
    >>> replace_gate(FixedMask(torch.tensor([True, False])), [layer])
    >>> layer(torch.ones(2)).item()
    1.0
    >>> replace_gate(None, [layer])
    >>> layer(torch.ones(2)).item()
    2.0
    """
    consumer = places[-1]
    if hasattr(consumer, "gate"):
        consumer.gate.remove()
        for stage in places:
            stage._modules.pop("gate", None)
    for stage in places:
        _show_compilers(stage, gate is not None)
    if gate is not None:
        ChainGate(gate, places).train(consumer.training)


def _show_compilers(stage: nn.Module, gated: bool) -> None:
    """What torch.compile has made of a stage is not asked again when hooks
    come (``skip_nnmodule_hook_guards``), but it is when a dictionary that the
    stage reads from becomes one of another kind."""
    kind = OrderedDict if gated else dict
    stage._parameters = kind(stage._parameters)
    stage._modules = kind(stage._modules)

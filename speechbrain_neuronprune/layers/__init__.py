"""SpeechBrain's layers with their units exposed to a gate, and narrowed.

One form per kind of layer knows where its gates stand and how to cut it.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from typing import Any

from speechbrain.lobes.models.transformer.Branchformer import (
    ConvolutionBranch,
)
from speechbrain.lobes.models.transformer.Conformer import ConvolutionModule
from speechbrain.nnet.attention import PositionalwiseFeedForward
from speechbrain.nnet.containers import Sequential
from torch import nn

from speechbrain_neuronprune.gates.gate import UnitGate
from speechbrain_neuronprune.layers.attention import AttentionForm
from speechbrain_neuronprune.layers.chain import ChainForm
from speechbrain_neuronprune.layers.convolution import ConvolutionForm
from speechbrain_neuronprune.layers.feed_forward import FeedForwardForm
from speechbrain_neuronprune.layers.gating import GatingForm
from speechbrain_neuronprune.units import UnitGroup
from speechbrain_neuronprune.units.layouts import ATTENTION

FORMS: dict[Any, Any] = {
    PositionalwiseFeedForward: FeedForwardForm,
    ConvolutionModule: ConvolutionForm,
    ConvolutionBranch: GatingForm,
    ATTENTION: AttentionForm,
    (nn.Sequential, Sequential): ChainForm,
}


def form_of(layer: nn.Module) -> Any:
    """The form of a layer that holds units.

    Arguments
    ---------
    layer : nn.Module
        A layer of one of the kinds in ``FORMS``.

    Returns
    -------
    type
        A class with ``get_gate``, ``set_gate`` and ``narrow``.

    Example
    -------
    >>> form_of(nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))).__name__
    'ChainForm'
    """
    return next(
        form for kinds, form in FORMS.items() if isinstance(layer, kinds)
    )


def get_gate(model: nn.Module, group: UnitGroup) -> UnitGate | None:
    """The gate over a group's units, or None.

    Arguments
    ---------
    model : nn.Module
        The model that the group belongs to.
    group : UnitGroup
        One of ``find_units(model)``.

    Returns
    -------
    UnitGate or None
        What multiplies the units.
    """
    layer = model.get_submodule(group.layer)
    return form_of(layer).get_gate(layer, group)


def set_gate(model: nn.Module, group: UnitGroup, gate: UnitGate | None) -> None:
    """Put a gate over a group's units, in place of any that is there.

    Arguments
    ---------
    model : nn.Module
        The model, changed in place; its parameters keep their names.
    group : UnitGroup
        One of ``find_units(model)``.
    gate : UnitGate or None
        A gate of the group's size; None removes the present one.
    """
    layer = model.get_submodule(group.layer)
    changed = form_of(layer).set_gate(layer, group, gate)
    if gate is not None:
        gate.to(next(layer.parameters()).device).train(layer.training)
        gate.cost = group.parameters_per_unit
    if changed is not layer:
        model.set_submodule(group.layer, changed)

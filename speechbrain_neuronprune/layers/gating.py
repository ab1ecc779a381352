"""Convolutional gating MLPs: one draw at every place, and the narrow form.

A Branchformer multiplies half of its hidden channels by a gate that a
LayerNorm, a depthwise convolution and, if wanted, a Linear make of the other
half. A removed channel must be zero before the LayerNorm, which takes
statistics over all of them, before the Linear, which mixes them, and in the
product.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from speechbrain.lobes.models.transformer.Branchformer import (
    ConvolutionBranch,
)
from torch import Tensor, nn

from speechbrain_neuronprune.gates.gate import UnitGate
from speechbrain_neuronprune.layers.chain_gate import gate_of, replace_gate
from speechbrain_neuronprune.layers.constant import Constant, bias_of
from speechbrain_neuronprune.layers.normalization import PartialLayerNorm
from speechbrain_neuronprune.layers.slicing import cut_parameters
from speechbrain_neuronprune.units import UnitGroup


class GatingForm:
    """How ``ConvolutionBranch`` is gated and narrowed; its stock forward
    serves all forms.

    As in chains of Linear layers, the gate is registered with the Linear that
    consumes the units.
    """

    @staticmethod
    def get_gate(layer: ConvolutionBranch, group: UnitGroup) -> UnitGate | None:
        """The gate in place, or None.

        Arguments
        ---------
        layer : nn.Module
            A ``ConvolutionBranch``.
        group : UnitGroup
            One of its groups.

        Returns
        -------
        UnitGate or None
            What multiplies the units.
        """
        return gate_of(layer.post_channel_proj)

    @staticmethod
    def set_gate(
        layer: ConvolutionBranch, group: UnitGroup, gate: UnitGate | None
    ) -> nn.Module:
        """Put a gate in place (None removes it).

        Arguments
        ---------
        layer : nn.Module
            A ``ConvolutionBranch``.
        group : UnitGroup
            One of its groups.
        gate : UnitGate or None
            The new gate.

        Returns
        -------
        nn.Module
            The layer itself, changed in place.
        """
        unit = layer.csgu
        mixing = [unit.linear] if unit.use_linear_after_conv else []
        replace_gate(gate, [unit.norm, *mixing, layer.post_channel_proj])
        return layer

    @staticmethod
    def narrow(
        layer: ConvolutionBranch,
        groups: list[UnitGroup],
        keep: dict[str, Tensor],
    ) -> nn.Module:
        """The layer without the removed channels.

        Arguments
        ---------
        layer : nn.Module
            A ``ConvolutionBranch``, without gates.
        groups : list of UnitGroup
            Its group.
        keep : dict of str to torch.Tensor
            Per site, bool (units,): the units that stay.

        Returns
        -------
        nn.Module
            The layer itself, changed in place; a ``Constant`` if no channel is
            left.
        """
        out = layer.post_channel_proj
        if not keep["channels"].any():
            return Constant(bias_of(out), out.out_features)
        cut_parameters(layer, groups, keep)
        GatingForm._fit(layer)
        return layer

    @staticmethod
    def _fit(layer: ConvolutionBranch) -> None:
        """Make the sub-modules' sizes those of their cut parameters."""
        unit, kept = layer.csgu, layer.post_channel_proj.weight.shape[1]
        layer.post_channel_proj.in_features = kept
        layer.pre_channel_proj.out_features = unit.input_size = 2 * kept
        unit.norm.norm = PartialLayerNorm.of(unit.norm.norm, kept)
        depthwise = unit.conv.conv
        depthwise.in_channels = depthwise.out_channels = kept
        depthwise.groups = kept
        if unit.use_linear_after_conv:
            unit.linear.in_features = unit.linear.out_features = kept

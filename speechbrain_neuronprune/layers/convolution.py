"""Convolution modules: one draw at three places, and the narrow form.

A channel that is zero at the input of the depthwise convolution is not yet
gone: the convolution's bias brings it back, and the LayerNorm over channels
gives it a value and takes it into the statistics of all others. So the same
mask is applied three times: after the GLU, after the depthwise convolution,
and after the activation.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from speechbrain.lobes.models.transformer.Conformer import ConvolutionModule
from torch import Tensor, nn

from speechbrain_neuronprune.gates.gate import UnitGate
from speechbrain_neuronprune.layers.channels_last import use_channels_last
from speechbrain_neuronprune.layers.constant import (
    ConstantConvolution,
    bias_of,
)
from speechbrain_neuronprune.layers.normalization import PartialLayerNorm
from speechbrain_neuronprune.layers.sequential_gate import insert_gate
from speechbrain_neuronprune.layers.shared_draw import Follower, SharedDraw
from speechbrain_neuronprune.layers.slicing import cut_parameters
from speechbrain_neuronprune.units import UnitGroup


class ChannelGate(SharedDraw):
    """Gates (batch, channels, time), and its echoes by the same draw.

    Arguments
    ---------
    units : UnitGate
        The gate over channels.
    """

    def __init__(self, units: UnitGate) -> None:
        super().__init__(units)
        self.echo_in = EchoGate(last=False)
        self.echo_out = EchoGate(last=True)

    def forward(self, x: Tensor) -> Tensor:
        """Multiply channels by a new draw.

        Arguments
        ---------
        x : torch.Tensor
            (batch, channels, time).

        Returns
        -------
        torch.Tensor
            As ``x``.
        """
        mask = self.mask(x.shape[0], x.dtype, last=False)
        return x if mask is None else x * mask.unsqueeze(-1)


class EchoGate(Follower):
    """Applies the mask of a ``ChannelGate`` again, to (rows, time, channels).

    Chunked training folds an utterance's chunks into rows, so each
    utterance's mask is repeated for its chunks.

    Arguments
    ---------
    last : bool
        Whether this is the last use, after which the draw is forgotten.
    """

    def __init__(self, last: bool) -> None:
        super().__init__()
        self.last = last

    def forward(self, x: Tensor) -> Tensor:
        """Multiply channels by the remembered draw.

        Arguments
        ---------
        x : torch.Tensor
            (rows, time, channels).

        Returns
        -------
        torch.Tensor
            As ``x``.
        """
        mask = self.leader.mask(
            x.shape[0], x.dtype, first=False, last=self.last
        )
        if mask is None:
            return x
        if mask.shape[0] > 1:
            mask = mask.repeat_interleave(x.shape[0] // mask.shape[0], dim=0)
        return x * mask.unsqueeze(1)


class ConvolutionForm:
    """How ``ConvolutionModule`` is gated and narrowed.

    The parts stay those of the stock module, so it serves all forms: full
    context, causal, chunked.
    """

    @staticmethod
    def get_gate(layer: nn.Module, group: UnitGroup) -> UnitGate | None:
        """The gate in place, or None.

        Arguments
        ---------
        layer : nn.Module
            A ``ConvolutionModule``.
        group : UnitGroup
            One of its groups.

        Returns
        -------
        UnitGate or None
            What multiplies the units.
        """
        gate = getattr(layer.bottleneck, "gate", None)
        return None if gate is None else gate.units

    @staticmethod
    def set_gate(
        layer: ConvolutionModule, group: UnitGroup, gate: UnitGate | None
    ) -> nn.Module:
        """Put a gate in place (None removes it).

        Arguments
        ---------
        layer : nn.Module
            A ``ConvolutionModule``.
        group : UnitGroup
            One of its groups.
        gate : UnitGate or None
            The new gate.

        Returns
        -------
        nn.Module
            The layer itself, changed in place.
        """
        use_channels_last(layer)
        source = first = last = None
        if gate is not None:
            source = ChannelGate(gate).train(layer.training)
            first, last = source.echo_in, source.echo_out
        insert_gate(layer.bottleneck, "1", "gate", source)
        insert_gate(layer.after_conv, "", "gate_in", first)
        insert_gate(layer.after_conv, "1", "gate_out", last)
        return layer

    @staticmethod
    def narrow(
        layer: ConvolutionModule,
        groups: list[UnitGroup],
        keep: dict[str, Tensor],
    ) -> nn.Module:
        """The layer without the removed channels.

        Arguments
        ---------
        layer : nn.Module
            A ``ConvolutionModule``, without gates.
        groups : list of UnitGroup
            Its group.
        keep : dict of str to torch.Tensor
            Per site, bool (units,): the units that stay.

        Returns
        -------
        nn.Module
            The layer itself, changed in place; a ``ConstantConvolution`` if no
            channel is left.
        """
        out = getattr(layer.after_conv, "2")
        if not keep["channels"].any():
            return ConstantConvolution(
                bias_of(out), out.out_features, layer.padding
            )
        if keep["channels"].all():
            return layer
        use_channels_last(layer)
        cut_parameters(layer, groups, keep)
        ConvolutionForm._fit(layer)
        return layer

    @staticmethod
    def _fit(layer: ConvolutionModule) -> None:
        """Make the sub-modules' sizes those of their cut parameters."""
        pointwise = getattr(layer.bottleneck, "0")
        pointwise.out_channels = len(pointwise.weight)
        kept = len(layer.conv.weight)
        layer.conv.in_channels = layer.conv.out_channels = kept
        layer.conv.groups = kept
        getattr(layer.after_conv, "2").in_features = kept
        norm = getattr(layer.after_conv, "0")
        setattr(layer.after_conv, "0", PartialLayerNorm.of(norm, kept))

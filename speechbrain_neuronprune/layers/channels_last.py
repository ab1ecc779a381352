"""The convolution module, computed with channels last.

The stock module turns frames into columns for a pointwise and a depthwise
one-dimensional convolution, and back. On a CPU, the depthwise one then takes
longer than many products with ten times as many multiplications. As a
two-dimensional convolution of frames as they lie in memory it takes a tenth
of the time, the pointwise one is a matrix product, and nothing is turned.
torch.compile makes one loop of a sum over the kernel's taps, which takes less
than half of that again.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from typing import Any

import torch
import torch.nn.functional as F
from speechbrain.lobes.models.transformer.Conformer import ConvolutionModule
from torch import Tensor, nn

from speechbrain_neuronprune.layers.hooks import is_watched
from speechbrain_neuronprune.units.kinds import runs_as


def use_channels_last(layer: nn.Module) -> None:
    """Let a convolution module compute the same with channels last.

    Its class changes, in place: the module, its parts and its name stay.

    Arguments
    ---------
    layer : nn.Module
        A ``ConvolutionModule``; any other one, be it a subclass, which may
        compute something else, stays as it is.

    Example
    -------
    >>> layer, x = ConvolutionModule(4, 3), torch.randn(2, 5, 4)
    >>> expected = layer(x)
    >>> use_channels_last(layer)
    >>> torch.allclose(layer(x), expected, atol=1e-6)
    True
    """
    if type(layer) is ConvolutionModule:
        layer.__class__ = ChannelsLastConvolution


class ChannelsLastConvolution(ConvolutionModule):
    """``ConvolutionModule``, gated or not, for CPUs.

    Chunked training and accelerators take the stock way, and so do modules of
    which hooks watch a stage, or of which a convolution has been replaced, by
    an adapter for instance.
    """

    computes_as = ConvolutionModule

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None = None,
        dynchunktrain_config: Any = None,
    ) -> Tensor:
        """As ``ConvolutionModule.forward``."""
        if dynchunktrain_config is not None or not self._applies(x):
            return super().forward(x, mask, dynchunktrain_config)
        pointwise, _, *gates = self.bottleneck
        out = F.linear(
            self.layer_norm(x), pointwise.weight.flatten(1), pointwise.bias
        )
        columns = F.glu(out, dim=-1).transpose(1, 2)
        for gate in gates:
            columns = gate(columns)
        out = self.after_conv(self._depthwise(columns).transpose(1, 2))
        return out if mask is None else out.masked_fill_(mask, 0.0)

    def _applies(self, x: Tensor) -> bool:
        stages = (self.bottleneck, self.conv, *self.bottleneck)
        return (
            x.device.type == "cpu"
            and runs_as(self.bottleneck[0], [nn.Conv1d])
            and runs_as(self.conv, [nn.Conv1d])
            and not any(map(is_watched, stages))
        )

    def _depthwise(self, columns: Tensor) -> Tensor:
        """(batch, channels, time), in memory (batch, time, channels)."""
        conv, frames = self.conv, columns.shape[-1]
        if _is_fused():
            return _by_taps(conv, columns, self.padding)[..., :frames]
        weight = conv.weight.unsqueeze(2)
        out = F.conv2d(
            columns.unsqueeze(2),
            weight.contiguous(memory_format=torch.channels_last),
            conv.bias,
            padding=(0, self.padding),
            dilation=(1, *conv.dilation),
            groups=conv.groups,
        ).squeeze(2)
        return out[..., :frames] if self.causal else out


def _is_fused() -> bool:
    """Whether torch.compile makes one loop of whatever comes; not with
    gradients, whose pass would be another (exports are traced with them), nor
    where convolutions compute in another precision than sums."""
    return (
        torch.compiler.is_dynamo_compiling()
        and not torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
    )


def _by_taps(conv: nn.Conv1d, columns: Tensor, padding: int) -> Tensor:
    """A depthwise convolution of (batch, channels, time), in memory (batch,
    time, channels), as a sum over taps, which come before time so that the
    loop over channels is the innermost."""
    (dilation,), (taps,) = conv.dilation, conv.kernel_size
    frames = F.pad(columns.mT, (0, 0, padding, padding))
    windows = frames.unfold(1, (taps - 1) * dilation + 1, 1)[..., ::dilation]
    weight = conv.weight.squeeze(1).t().unsqueeze(1)
    out = (windows.movedim(-1, 1) * weight).sum(1)
    return (out if conv.bias is None else out + conv.bias).mT

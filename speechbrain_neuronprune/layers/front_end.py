"""Two-dimensional convolutions of features, computed with channels last.

SpeechBrain keeps channels last, (batch, time, bands, channels), and turns them
forward for every convolution, and back for the norm and the activation behind
it. Copies cost more there than multiplications. As tensors with channels last
in memory nothing is turned. A front end does not shrink when the encoder behind
it does, so its share grows.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import torch
import torch.nn.functional as F
from speechbrain.nnet.CNN import Conv2d, get_padding_elem
from torch import Tensor, nn

from speechbrain_neuronprune.layers.hooks import is_watched
from speechbrain_neuronprune.units.kinds import runs_as

PADDINGS = ("same", "valid")


def use_fast_convolution(layer: nn.Module) -> None:
    """Let a two-dimensional convolution compute the same with channels last.

    Its class changes, in place: parameters and their names stay.

    Arguments
    ---------
    layer : nn.Module
        A ``speechbrain.nnet.CNN.Conv2d``; any other one, be it a subclass,
        stays as it is.

    Example
    -------
    >>> layer = Conv2d(4, (3, 3), input_shape=(2, 6, 5, 3), stride=(2, 2))
    >>> x = torch.randn(2, 6, 5, 3)
    >>> expected = layer(x)
    >>> use_fast_convolution(layer)
    >>> torch.allclose(layer(x), expected, atol=1e-5)
    True
    """
    if type(layer) is Conv2d:
        layer.__class__ = FastConv2d


class FastConv2d(Conv2d):
    """``Conv2d`` for CPUs.

    Accelerators and scripts take the stock way, and so do causal convolutions,
    those that are told to leave the dimensions where they are, and those of
    which the inner one has been replaced or is watched by hooks.
    """

    computes_as = Conv2d

    def forward(self, x: Tensor) -> Tensor:
        """As ``Conv2d.forward``."""
        if not self._applies(x):
            return super().forward(x)
        if self.unsqueeze:
            x = x.unsqueeze(-1)
        x = x.permute(0, 3, 1, 2)  # (batch, channels, time, bands)
        if self.padding == "same":
            x = F.pad(x, self._margins(), mode=self.padding_mode)
        out = self._convolve(x).permute(0, 2, 3, 1)
        return out.squeeze(-1) if self.unsqueeze else out

    def __prepare_scriptable__(self) -> Conv2d:
        """What ``torch.jit.script`` compiles."""
        stock = Conv2d.__new__(Conv2d)
        stock.__dict__ = self.__dict__.copy()
        return stock

    def _applies(self, x: Tensor) -> bool:
        return (
            x.device.type == "cpu"
            and self.padding in PADDINGS
            and self.max_norm is None
            and not (self.skip_transpose or self.swap)
            and runs_as(self.conv, [nn.Conv2d])
            and not is_watched(self.conv)
        )

    def _margins(self) -> list[int]:
        """Before and behind the bands, before and behind time."""
        sizes = zip(self.stride, self.kernel_size, self.dilation, strict=True)
        bands, time = (get_padding_elem(self.in_channels, *s) for s in sizes)
        return bands + time

    def _convolve(self, x: Tensor) -> Tensor:
        """(batch, channels, time, bands); the stock kernel's first dimension
        is that of bands."""
        conv, last = self.conv, torch.channels_last
        weight = conv.weight.transpose(2, 3).contiguous(memory_format=last)
        return F.conv2d(
            x,
            weight,
            conv.bias,
            stride=conv.stride[::-1],
            dilation=conv.dilation[::-1],
            groups=conv.groups,
        )

"""What is left of a sub-module whose units are all gone: its output bias.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from typing import Any

import torch
from torch import Tensor, nn


class Constant(nn.Module):
    """Gives the same vector for every frame.

    Arguments
    ---------
    value : torch.Tensor or None
        The vector, (features,); None stands for zeros.
    features : int
        Its length.

    Example
    -------
    >>> Constant(torch.ones(2), 2)(torch.randn(3, 5, 7)).shape
    torch.Size([3, 5, 2])
    """

    folded = True

    def __init__(self, value: Tensor | None, features: int) -> None:
        super().__init__()
        self.features = features
        if value is None:
            self.register_parameter("value", None)
        else:
            copied = value.detach().clone()
            self.value = nn.Parameter(copied, value.requires_grad)

    def forward(self, x: Tensor) -> Tensor:
        """The vector for every frame of the input.

        Arguments
        ---------
        x : torch.Tensor
            (..., any): only its shape and dtype count.

        Returns
        -------
        torch.Tensor
            (..., features).
        """
        shape = (*x.shape[:-1], self.features)
        if self.value is None:
            return x.new_zeros(shape)
        return self.value.to(x.dtype).expand(shape)


class ConstantAttention(Constant):
    """Attention without heads: only the output projection's bias."""

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor | None = None,
        *_: Any,
        return_attn_weights: bool = True,
        **__: Any,
    ) -> Any:
        """The bias for every frame.

        The weights are the mean over no heads, zeros which take no memory.

        Arguments
        ---------
        query : torch.Tensor
            (batch, L, features).
        key : torch.Tensor
            (batch, S, features); only its length counts.
        value : torch.Tensor, optional
            Not used, and neither are masks and positions.
        return_attn_weights : bool
            Return the weights as well.

        Returns
        -------
        torch.Tensor or tuple of torch.Tensor
            (batch, L, features), and weights (batch, L, S) if wanted.
        """
        out = super().forward(query)
        if not return_attn_weights:
            return out
        shape = (*query.shape[:2], key.shape[1])
        return out, query.new_zeros(1).expand(shape)


class ConstantConvolution(Constant):
    """A convolution module without channels: the output bias, zero at the
    padding.

    Arguments
    ---------
    value : torch.Tensor or None
        The output bias, (features,).
    features : int
        Its length.
    padding : int
        The stock module's padding, which streaming reads.
    """

    def __init__(
        self, value: Tensor | None, features: int, padding: int
    ) -> None:
        super().__init__(value, features)
        self.padding = padding

    def forward(
        self, x: Tensor, mask: Tensor | None = None, **_: Any
    ) -> Tensor:
        """The bias for every frame that is no padding.

        Arguments
        ---------
        x : torch.Tensor
            (batch, time, any).
        mask : torch.Tensor, optional
            Bool, (batch, time, 1): True at the padding, which gets zeros.

        Returns
        -------
        torch.Tensor
            (batch, time, features).
        """
        out = super().forward(x)
        return out if mask is None else out.masked_fill(mask, 0.0)


def bias_of(linear: nn.Module) -> Tensor | None:
    """The bias of a Linear layer, or None.

    Arguments
    ---------
    linear : nn.Module
        The layer.

    Returns
    -------
    torch.Tensor or None
        (features,).

    Example
    -------
    >>> bias_of(nn.Linear(2, 3)).shape
    torch.Size([3])
    >>> bias_of(nn.Linear(2, 3, bias=False)) is None
    True
    """
    return linear.bias if torch.is_tensor(linear.bias) else None

"""The straight-through step: a step forward, a sigmoid's slope backward.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from typing import Any

import torch
from torch import Tensor

from speechbrain_neuronprune.errors import TrainingError


def beta_of(logits: Tensor, scale: float, centre: Tensor) -> Tensor:
    """The retention logits, scale * logits + centre.

    Arguments
    ---------
    logits : torch.Tensor
        What is learned, of any shape.
    scale : float
        What the logits are multiplied by.
    centre : torch.Tensor
        What is added to them, c(t).

    Returns
    -------
    torch.Tensor
        Of the shape of ``logits``, float32.

    Example
    -------
    >>> beta_of(torch.tensor([0.0, 0.5]), 10.0, torch.tensor(-2.0))
    tensor([-2.,  3.])
    """
    return (logits.float() * scale).add_(centre)


class StraightThrough(torch.autograd.Function):
    """x * H(beta + noise), differentiated as x * sigmoid(beta + noise).

    Written with differentiable operations, ``hard + (soft - soft.detach())``
    computes a sigmoid that only its derivative needs, and two sums that
    cancel; and the gradients of the product are two more tensors as large as
    ``x``, at a time. Here it is the step, one product, and one tensor.

    Arguments
    ---------
    logits : torch.Tensor
        Of the units, the last dimensions of ``x``.
    scale : float
        What the logits are multiplied by, see ``beta_of``.
    centre : torch.Tensor
        What is added to them; it gets no gradient.
    noise : torch.Tensor
        Of as many dimensions as ``x``; those of size 1 are shared.
    x : torch.Tensor or None
        What is multiplied; None for the step alone.

    Returns
    -------
    torch.Tensor
        Like ``x``, or zeros and ones like ``noise``.

    Raises
    ------
    TrainingError
        In a backward pass that shall itself be differentiated.

    Example
    -------
    >>> logits = torch.tensor([-2.0, 0.0, 2.0], requires_grad=True)
    >>> x, noise = torch.full((5, 3), 2.0), torch.zeros(1, 3)
    >>> out = StraightThrough.apply(logits, 1.0, torch.tensor(0.0), noise, x)
    >>> out.sum().backward()
    >>> out[0].tolist(), logits.grad[1].item()
    ([0.0, 0.0, 2.0], 2.5)
    """

    @staticmethod
    def forward(
        ctx: Any,
        logits: Tensor,
        scale: float,
        centre: Tensor,
        noise: Tensor,
        x: Tensor | None,
    ) -> Tensor:
        """The step, or the product with it."""
        noisy = beta_of(logits, scale, centre) + noise
        hard = noisy > 0
        ctx.scale, ctx.shape = scale, logits.shape
        ctx.save_for_backward(noisy, hard, x)
        return hard.to(noisy.dtype) if x is None else x * hard

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """The sigmoid's slope for the logits, the step for ``x``."""
        _refuse_second_derivatives()
        noisy, hard, x = ctx.saved_tensors
        product = gradient if x is None else gradient * x
        shared = product.sum_to_size(noisy.shape).to(noisy.dtype)
        slope = torch.ops.aten.sigmoid_backward(shared, torch.sigmoid(noisy))
        of_logits = slope.sum_to_size(ctx.shape) * ctx.scale
        of_x = None
        if ctx.needs_input_grad[-1]:
            # The product has been summed up: its memory serves once more.
            of_x = torch.mul(gradient, hard, out=product)
        return of_logits, None, None, None, of_x


def _refuse_second_derivatives() -> None:
    if torch.is_grad_enabled():
        raise TrainingError(
            "The gradients of adaptive dropout cannot be differentiated "
            "(create_graph=True): take second derivatives of the model in "
            "evaluation, or of a masked one."
        )

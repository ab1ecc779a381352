"""What every gate is: a mask over the units of a layer.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import math

from torch import Tensor, nn


class UnitGate(nn.Module):
    """Multiplies hidden units by a mask of zeros and ones.

    Subclasses say how the mask comes about. A mask belongs to a whole
    utterance: it has no time index, so a removed unit is absent in every
    frame.

    Arguments
    ---------
    *shape : int
        Shape of the units, the last dimensions of what ``forward`` gets.
    batch_dim : int
        Which dimension of the input counts utterances.
    """

    is_gate = True  # its parameters are not the model's
    cost = 1  # parameters that a unit owns where the gate stands

    def __init__(self, *shape: int, batch_dim: int = 0) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.batch_dim = batch_dim

    @property
    def idle(self) -> bool:
        """Whether every unit is present for certain, so that there is nothing
        to multiply by; False if that is not known without looking. An idle
        gate is not asked for its mask."""
        return False

    @property
    def draws(self) -> bool:
        """Whether the mask is another one each time that it is asked for;
        True if that is not known."""
        return True

    @property
    def size(self) -> int:
        """Number of units."""
        return math.prod(self.shape)

    def mask(self, batch_size: int) -> Tensor:
        """Masks for a batch.

        Arguments
        ---------
        batch_size : int
            Number of utterances.

        Returns
        -------
        torch.Tensor
            ``(batch_size or 1, *shape)``, float32.
        """
        raise NotImplementedError

    def keep(self) -> Tensor:
        """The units that evaluation keeps.

        Returns
        -------
        torch.Tensor
            Bool, of shape ``shape``.
        """
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Multiply units by one mask per utterance.

        Arguments
        ---------
        x : torch.Tensor
            ``(..., *shape)``.

        Returns
        -------
        torch.Tensor
            As ``x``; ``x`` itself where all units are present.
        """
        if self.idle:
            return x
        mask = self.mask(self._utterances(x)).to(x.dtype)
        return x * self._over(x, mask)

    def _utterances(self, x: Tensor) -> int:
        """How many utterances ``x`` holds; 1 where it is units alone."""
        return x.shape[self.batch_dim] if x.ndim > len(self.shape) else 1

    def _over(self, x: Tensor, masks: Tensor) -> Tensor:
        """Masks for a batch, as a view that broadcasts over ``x``."""
        leading = x.ndim - len(self.shape)
        view = [1] * leading + list(self.shape)
        if leading:
            view[self.batch_dim] = masks.shape[0]
        return masks.view(view)

    def extra_repr(self) -> str:
        """The shape, for ``print(model)``."""
        return ", ".join(str(size) for size in self.shape)


class FixedMask(UnitGate):
    """A mask that a plan has decided, the same in training and evaluation.

    The mask is no part of the state dict: the plan is its record, and the
    model's checkpoint stays that of the stock model.

    Arguments
    ---------
    keep : torch.Tensor
        Bool tensor: True for the units that stay.
    batch_dim : int
        Which dimension of the input counts utterances.

    Example
    -------
    >>> import torch
    >>> FixedMask(torch.tensor([True, False]))(torch.ones(1, 3, 2)).sum(1)
    tensor([[3., 0.]])
    """

    draws = False

    def __init__(self, keep: Tensor, batch_dim: int = 0) -> None:
        super().__init__(*keep.shape, batch_dim=batch_dim)
        self.register_buffer("kept", keep.bool().clone(), persistent=False)

    def mask(self, batch_size: int) -> Tensor:
        """The plan's mask, ``(1, *shape)``."""
        return self.kept.float().unsqueeze(0)

    def keep(self) -> Tensor:
        """The plan's decision."""
        return self.kept

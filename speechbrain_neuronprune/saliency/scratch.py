"""Memory for intermediate results that is used again and again.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import torch
from torch import Tensor


class Scratch:
    """Memory for one tensor at a time.

    On a CPU, new memory for a layer's activations costs more time than what
    is computed there: it is not in the cache, and pushes out what is.

    Example
    -------
    >>> scratch = Scratch()
    >>> one = scratch.empty((2, 3), torch.zeros(()))
    >>> other = scratch.empty((3, 1), torch.zeros(()))
    >>> other.shape, other.data_ptr() == one.data_ptr()
    (torch.Size([3, 1]), True)
    """

    def __init__(self) -> None:
        self._memory = torch.empty(0)

    def empty(self, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """A tensor of any content; the one before is overwritten with it.

        Arguments
        ---------
        shape : tuple of int
            Its shape.
        like : torch.Tensor
            One with its precision and device.

        Returns
        -------
        torch.Tensor
            Of that shape; it shares its memory with the one before.
        """
        size = torch.Size(shape).numel()
        same = (self._memory.dtype, self._memory.device) == (
            like.dtype,
            like.device,
        )
        if not same or len(self._memory) < size:
            self._memory = like.new_empty(size)
        return self._memory[:size].view(shape)

"""How much memory a forward pass holds at its fullest moment.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def peak_bytes(
    forward: Callable[[], Any], model: nn.Module, example: Any
) -> int:
    """Return the most bytes of weights, input and activations held at once.

    On a GPU the allocator counts. On a CPU a dispatch mode sees the tensors
    that operators return and adds up those which are alive at the same time;
    memory that an operator takes and gives back inside is not seen.

    Arguments
    ---------
    forward : callable
        Runs the forward pass.
    model : nn.Module
        Whose parameters and buffers are counted.
    example : Any
        A nest of tensors: the input.

    Returns
    -------
    int
        Bytes.

    Example
    -------
    >>> x = torch.zeros(10)
    >>> peak_bytes(lambda: x + 1 + 1, nn.Identity(), x)
    120
    """
    held = _tensor_bytes([*model.parameters(), *model.buffers(), example])
    devices = {p.device for p in model.parameters() if p.is_cuda}
    if len(devices) != 1:
        with _LiveTensors() as live:
            forward()
        return held + live.peak
    device = devices.pop()
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    forward()
    torch.cuda.synchronize(device)
    return held + torch.cuda.max_memory_allocated(device) - before


def _tensor_bytes(tree: Any) -> int:
    """Return the bytes of the distinct storages of a nest of tensors."""
    storages = {
        leaf.untyped_storage().data_ptr(): leaf.untyped_storage().nbytes()
        for leaf in tree_leaves(tree)
        if isinstance(leaf, torch.Tensor)
    }
    return sum(storages.values())


class _LiveTensors(TorchDispatchMode):
    """Tracks the bytes of the tensors made inside it that are still alive."""

    def __init__(self):
        super().__init__()
        self.bytes = 0
        self.peak = 0
        self._known = weakref.WeakSet()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        given = {
            leaf.untyped_storage()._cdata
            for leaf in tree_leaves((args, kwargs))
            if isinstance(leaf, torch.Tensor)
        }
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            # A view or an in-place result brings no memory of its own.
            if (
                isinstance(leaf, torch.Tensor)
                and leaf.untyped_storage()._cdata not in given
            ):
                self._add(leaf.untyped_storage())
        return result

    def _add(self, storage: torch.UntypedStorage) -> None:
        if storage in self._known:
            return
        self._known.add(storage)
        self.bytes += storage.nbytes()
        self.peak = max(self.peak, self.bytes)
        weakref.finalize(storage, self._release, storage.nbytes())

    def _release(self, size: int) -> None:
        self.bytes -= size

"""Fingerprints: whether a model is, bit by bit, the one that was meant.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import hashlib
from collections.abc import Iterable, Iterator

import torch
from speechbrain.processing.features import InputNormalization
from torch import Tensor, nn


def digest(tensors: Iterable[tuple[str, Tensor]]) -> str:
    """SHA-256 over the names, shapes, dtypes and bytes of tensors.

    Arguments
    ---------
    tensors : iterable of tuple of str and torch.Tensor
        The order matters.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    sha = hashlib.sha256()
    for name, tensor in tensors:
        sha.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        flat = tensor.detach().cpu().contiguous().flatten()
        sha.update(flat.view(torch.uint8).numpy())
    return sha.hexdigest()


def fingerprint(model: nn.Module) -> str:
    """SHA-256 over all that a model's state dict holds, and the statistics
    of its features.

    The device makes no difference, nor do masks of a plan (which are no part
    of the state dict), nor an adaptation that is going on: the fingerprint is
    that of the model it started from.

    Arguments
    ---------
    model : nn.Module
        Any model.

    Returns
    -------
    str
        64 hexadecimal digits.

    Example
    -------
    >>> linear = nn.Linear(2, 2)
    >>> before = fingerprint(linear)
    >>> _ = nn.init.zeros_(linear.bias)
    >>> fingerprint(linear) == before
    False
    """
    # Modules of ``adaptation``, which lie over a model for a while.
    overlays = tuple(
        f"{path}."
        for path, module in model.named_modules(remove_duplicate=False)
        if getattr(type(module), "is_overlay", False)
    )
    return digest(
        (name, value)
        for name, value in sorted([*model.state_dict().items(), *_norms(model)])
        if torch.is_tensor(value) and not name.startswith(overlays)
    )


def _norms(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """The statistics of feature normalisations, which the host keeps out of
    the state dict."""
    for path, module in model.named_modules():
        if isinstance(module, InputNormalization):
            for name in ("glob_mean", "glob_std"):
                yield f"{path}.{name}", torch.as_tensor(getattr(module, name))

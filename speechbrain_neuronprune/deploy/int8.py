"""Weights in int8 that multiply activations in int8.

``torch.ao.quantization`` would do this for ``nn.Linear``, but is deprecated
and leaves the projections of attention out, because they are parameters and
no modules. Its successor, torchao, computes on a CPU without compilation at
no more than the speed of float where layers are narrow. Both rest on the same
kernel of PyTorch, and so does this file, with a scale per output.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from speechbrain_neuronprune.errors import ExportError
from speechbrain_neuronprune.files import PathLike


class Int8Weight(nn.Module):
    """Stands where a layer has a weight, and multiplies in int8.

    PyTorch lets arguments of ``F.linear`` and ``F.conv1d`` say how they are
    computed with (``__torch_function__``). So layers keep their class, their
    forward and their names; only the weight is another. Activations are
    rounded to 7 bits, with one scale per call: with 8, processors without
    VNNI would overflow.

    Arguments
    ---------
    values : torch.Tensor
        int8, (outputs, inputs).
    scale : torch.Tensor
        What an output's values are multiplied by, (outputs,).

    Example
    -------
    >>> linear = nn.Linear(64, 8)
    >>> x = torch.randn(5, 64)
    >>> expected = linear(x)
    >>> weight = linear.weight
    >>> del linear.weight
    >>> linear.weight = Int8Weight.of(weight)
    >>> torch.allclose(linear(x), expected, atol=0.1)
    True
    """

    def __init__(self, values: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.register_buffer("values", values)
        self.register_buffer("scale", scale)
        self._forget()

    @classmethod
    @torch.inference_mode(False)  # its tensors would have no versions
    @torch.no_grad()
    def of(cls, weight: Tensor) -> "Int8Weight":
        """Round a weight.

        Arguments
        ---------
        weight : torch.Tensor
            (outputs, inputs), or (outputs, inputs, 1) of a pointwise
            convolution.

        Returns
        -------
        Int8Weight
            With one scale per output.
        """
        weight = weight.detach().float().flatten(1)
        scale = weight.abs().amax(1).clamp(min=1e-12) / 127
        values = (weight / scale.unsqueeze(1)).round().to(torch.int8)
        return cls(values, scale)

    @classmethod
    def __torch_function__(
        cls, function: Any, types: Any, args: tuple = (), kwargs: Any = None
    ) -> Any:
        """What PyTorch calls in place of a function of a weight."""
        if function not in PRODUCTS:
            return NotImplemented
        return PRODUCTS[function](*args, **(kwargs or {}))

    def multiply(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """Multiply activations by the weight.

        Arguments
        ---------
        x : torch.Tensor
            (..., inputs), on the CPU.
        bias : torch.Tensor, optional
            (outputs,), added in the dtype of ``x``.

        Returns
        -------
        torch.Tensor
            (..., outputs).

        Raises
        ------
        ExportError
            If ``x`` is on another device.
        """
        if x.device.type != "cpu":
            raise ExportError(
                f"An int8 model was called on the device {x.device}; it "
                "computes on the CPU only: load it with device='cpu', or "
                "load the directory that it was made from."
            )
        out = torch.ops.quantized.linear_dynamic(
            x.float().contiguous(), self._pack(), reduce_range=True
        ).to(x.dtype)
        return out if bias is None else out + bias

    def flatten(self, start_dim: int) -> "Int8Weight":
        """As ``Tensor.flatten(1)``: a pointwise convolution's weight for
        ``F.linear``. The values are (outputs, inputs) already.

        Arguments
        ---------
        start_dim : int
            Always 1.

        Returns
        -------
        Int8Weight
            The weight itself.
        """
        return self

    def split(self, rows: list[int]) -> tuple["Int8Weight", ...]:
        """As ``Tensor.split``.

        Attention asks for the parts of queries, keys and values where each is
        the projection of another sequence.

        Arguments
        ---------
        rows : list of int
            Outputs of every part.

        Returns
        -------
        tuple of Int8Weight
            The parts, which are kept for the next call.
        """
        self._forget_if_loaded()
        if [len(part.values) for part in self._parts] != rows:
            parts = (self.values.split(rows), self.scale.split(rows))
            self._parts = tuple(map(Int8Weight, *parts))
        return self._parts

    def _pack(self) -> Any:
        """The weight as the kernel wants it."""
        self._forget_if_loaded()
        if self._packed is None:
            scale = self.scale.float()  # whatever the model was cast to
            weight = torch.quantize_per_channel(
                self.values * scale.unsqueeze(1),
                scale.double(),  # the kernel reads it as doubles
                torch.zeros(len(self.scale), dtype=torch.long),
                axis=0,
                dtype=torch.qint8,
            )
            self._packed = torch.ops.quantized.linear_prepack(weight, None)
        return self._packed

    def _forget(self) -> None:
        self._packed: Any = None
        self._parts: tuple[Int8Weight, ...] = ()
        self._version: tuple[int, ...] = ()

    def _forget_if_loaded(self) -> None:
        """Other weights may have been loaded since the last call."""
        version = (self.values._version, self.scale._version)
        if version != self._version:
            self._forget()
            self._version = version

    def __getstate__(self) -> dict[str, Any]:
        """For copies: what the kernel wants cannot be copied."""
        cache = {"_packed": None, "_parts": (), "_version": ()}
        return self.__dict__ | cache

    def extra_repr(self) -> str:
        """The sizes, for ``print(model)``."""
        return "outputs={}, inputs={}".format(*self.values.shape)


def _linear(
    input: Tensor, weight: Int8Weight, bias: Tensor | None = None
) -> Tensor:
    return weight.multiply(input, bias)


def _pointwise(
    input: Tensor, weight: Int8Weight, bias: Tensor | None = None, *_: Any
) -> Tensor:
    """As ``F.conv1d``; stride, padding and the like are the defaults."""
    return weight.multiply(input.mT, bias).mT


# Called with the names that PyTorch's functions give their arguments
PRODUCTS = {F.linear: _linear, F.conv1d: _pointwise}


def require_float(model: nn.Module, source: PathLike) -> None:
    """Refuse a model in int8, which can be used but not worked on.

    Arguments
    ---------
    model : nn.Module
        Any model.
    source : path-like
        Where it came from.

    Raises
    ------
    ExportError
        If it has weights in int8.
    """
    if is_int8(model):
        raise ExportError(
            f"The model directory {source} is in int8, which is for use only; "
            "give the one that it was made from."
        )


def is_int8(model: nn.Module) -> bool:
    """Whether a model has weights in int8.

    Arguments
    ---------
    model : nn.Module
        Any model.

    Returns
    -------
    bool
        True if there is at least one.
    """
    return any(isinstance(module, Int8Weight) for module in model.modules())

"""Overlays: a small trainable module over a parameter that stays frozen.

While an overlay lies over ``linear.weight``, that attribute is what the
overlay computes from the frozen parameter. The parameter itself stays where
it was, under its own name, untouched. So nothing that an optimiser does can
reach it, and taking the overlay away is all it takes to undo.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Mapping

from speechbrain.processing.features import InputNormalization
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from speechbrain_neuronprune.errors import SelectionError


class Overlay(nn.Module):
    """Computes the value that a frozen parameter has for its module."""

    is_overlay = True  # no part of the model's fingerprint

    def forward(self, base: Tensor) -> Tensor:
        """The value that the module computes with.

        Arguments
        ---------
        base : torch.Tensor
            The frozen parameter.

        Returns
        -------
        torch.Tensor
            Of the shape and dtype of ``base``.
        """
        raise NotImplementedError


class Overlaid:
    """What the class of a module gains while overlays lie over parameters of
    it: the names of these parameters mean the computed values."""


class Still:
    """What the class of a norm gains while its running statistics must not
    move: it is called as in evaluation, whatever the mode."""

    def __call__(self, *inputs: Tensor, **options: Tensor) -> Tensor:
        """Normalise by the statistics collected so far."""
        training, self.training = self.training, False
        try:
            return super().__call__(*inputs, **options)
        finally:
            self.training = training


def _computed(name: str) -> property:
    def value(module: nn.Module) -> Tensor:
        return module.overlays[name](module._parameters[name])

    return property(value)


def _mix_in(module: nn.Module, mixin: type, **attributes: property) -> None:
    # The class changes in place of the module, so its hooks, its name and
    # everybody who refers to it stay.
    kind = type(module)
    name = mixin.__name__ + kind.__name__
    module.__class__ = type(name, (mixin, kind), attributes)


def _mix_out(module: nn.Module) -> None:
    _, module.__class__ = type(module).__bases__


def base_of(model: nn.Module, name: str) -> nn.Parameter:
    """The parameter of a name, be there an overlay over it or not.

    Arguments
    ---------
    model : nn.Module
        The model.
    name : str
        Dotted name of a parameter.

    Returns
    -------
    nn.Parameter
        What the module itself holds.

    Raises
    ------
    SelectionError
        If a parametrization computes it.
    """
    path, _, attribute = name.rpartition(".")
    parameter = model.get_submodule(path)._parameters.get(attribute)
    if parameter is None:
        raise SelectionError(
            f"The parameter {name} is computed by a parametrization, so it "
            "cannot be adapted; make it a plain one with "
            "torch.nn.utils.parametrize.remove_parametrizations."
        )
    return parameter


def lay_over(module: nn.Module, overlays: Mapping[str, Overlay]) -> None:
    """Lay overlays over parameters of a module.

    The overlays become submodules under ``overlays``, so they move, copy and
    are saved with the model.

    Arguments
    ---------
    module : nn.Module
        Changed in place.
    overlays : mapping of str to Overlay
        By the name of the parameter.

    Example
    -------
    >>> import torch
    >>> class Doubled(Overlay):
    ...     def forward(self, base):
    ...         return 2.0 * base
    >>> linear = nn.Linear(1, 1, bias=False)
    >>> _ = nn.init.ones_(linear.weight)
    >>> lay_over(linear, {"weight": Doubled()})
    >>> linear(torch.ones(1)).item()
    2.0
    >>> lift(linear)
    >>> linear(torch.ones(1)).item()
    1.0
    """
    module.overlays = nn.ModuleDict(overlays)
    _mix_in(module, Overlaid, **{name: _computed(name) for name in overlays})


def hold_still(module: nn.Module) -> None:
    """Keep the running statistics of a norm from moving.

    Other modules keep none, and stay as they are.

    Arguments
    ---------
    module : nn.Module
        Any module, changed in place.

    Example
    -------
    >>> import torch
    >>> norm = nn.BatchNorm1d(1)
    >>> hold_still(norm)
    >>> _ = norm(torch.ones(4, 1))
    >>> norm.running_mean
    tensor([0.])
    """
    batch_norm = isinstance(module, _NormBase) and module.track_running_stats
    if batch_norm or isinstance(module, InputNormalization):
        _mix_in(module, Still)


def lift(module: nn.Module) -> None:
    """Undo ``lay_over`` or ``hold_still``; other modules stay as they are.

    Arguments
    ---------
    module : nn.Module
        Any module, changed in place.

    Example
    -------
    >>> norm = nn.BatchNorm1d(1)
    >>> hold_still(norm)
    >>> lift(norm)
    >>> type(norm) is nn.BatchNorm1d
    True
    """
    if isinstance(module, Overlaid):
        del module.overlays
    if isinstance(module, (Overlaid, Still)):
        _mix_out(module)

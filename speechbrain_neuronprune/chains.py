"""Chains of fully connected layers: the units between two Linear layers.

A chain lives in a Sequential container (torch's or SpeechBrain's, nested at
will). The outputs of one Linear are a vector of units if nothing but stages
that leave every unit in its place stand before the next Linear.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from speechbrain.nnet import containers, linear, normalization
from speechbrain.nnet.activations import Swish
from torch import nn
from torch.nn.parameter import is_lazy

from speechbrain_neuronprune.vectors import (
    UnitVector,
    column,
    join,
    slices_of,
)

CONTAINERS = (
    nn.Sequential,
    containers.Sequential,
    containers.LengthsCapableSequential,
)

# Stages that treat every unit alike and hold nothing per unit.
ELEMENTWISE = (
    nn.Identity,
    nn.Dropout,
    nn.AlphaDropout,
    nn.CELU,
    nn.ELU,
    nn.GELU,
    nn.Hardshrink,
    nn.Hardsigmoid,
    nn.Hardswish,
    nn.Hardtanh,
    nn.LeakyReLU,
    nn.LogSigmoid,
    nn.Mish,
    nn.ReLU,
    nn.RReLU,
    nn.SELU,
    nn.SiLU,
    nn.Sigmoid,
    nn.Softplus,
    nn.Softshrink,
    nn.Softsign,
    nn.Tanh,
    nn.Tanhshrink,
    nn.Threshold,
    Swish,
)

# Stages that hold something per unit: where their width stands, and what.
# torch's BatchNorm1d and a PReLU with a slope per unit count units in
# dimension 1, which is the last one for (batch, units) only.
PER_UNIT = {
    nn.BatchNorm1d: (
        "num_features",
        ("weight", "bias", "running_mean", "running_var"),
    ),
    nn.LayerNorm: ("normalized_shape", ("weight", "bias")),
    nn.PReLU: ("num_parameters", ("weight",)),
}


@dataclass(frozen=True)
class Link:
    """One vector of units of a chain, from Linear to Linear.

    Arguments
    ---------
    producer : str
        Path of the Linear whose outputs are the units.
    consumer : str
        Path of the next Linear, whose inputs they are.
    between : tuple of (str, tuple of str)
        Paths of the stages in between that hold something per unit, and
        what.
    """

    producer: str
    consumer: str
    between: tuple[tuple[str, tuple[str, ...]], ...]


def _is(module: nn.Module, kinds: Iterable[type]) -> bool:
    """Of one of these classes; a subclass that has a forward of its own may
    do anything (skip connections, low-rank updates) and does not count."""
    return any(
        isinstance(module, kind) and type(module).forward is kind.forward
        for kind in kinds
    )


def runs_in_order(module: nn.Module) -> bool:
    """Whether a module is a container that runs its stages one by one.

    Arguments
    ---------
    module : nn.Module
        Any module.

    Returns
    -------
    bool
        True for ``torch.nn.Sequential`` and SpeechBrain's.
    """
    return _is(module, CONTAINERS)


def _wrapped(module: nn.Module) -> str | None:
    """Where a SpeechBrain wrapper keeps the torch layer that does its work
    over the last dimension; None for everything else."""
    if _is(module, [linear.Linear]):
        # With max_norm, a forward pass changes the weight.
        return "w" if module.max_norm is None else None
    if _is(module, [normalization.BatchNorm1d]):
        return None if module.skip_transpose else "norm"
    return "norm" if _is(module, [normalization.LayerNorm]) else None


def stages(
    container: nn.Module, path: str = ""
) -> Iterator[tuple[str, nn.Module]]:
    """The stages of a container, in the order in which they run.

    Arguments
    ---------
    container : nn.Module
        A container that runs in order; containers in it are opened, and so
        are SpeechBrain's wrappers of torch layers.
    path : str
        Where the container is.

    Returns
    -------
    iterator of (str, nn.Module)
        Paths and stages. A stage that runs twice comes twice.

    Example
    -------
    >>> inner = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    >>> [path for path, _ in stages(nn.Sequential(inner, nn.Linear(3, 1)))]
    ['0.0', '0.1', '1']
    """
    # named_children would pass over the second use of a module.
    for name, module in container._modules.items():
        inside = join(path, name)
        wrapped = _wrapped(module)
        if runs_in_order(module):
            yield from stages(module, inside)
        elif wrapped is not None:
            yield join(inside, wrapped), getattr(module, wrapped)
        else:
            yield inside, module


def _is_partial_norm(module: nn.Module) -> bool:
    return getattr(module, "is_partial_norm", False)


def normalizes_units(module: nn.Module) -> bool:
    """Whether a stage takes statistics over the units.

    Arguments
    ---------
    module : nn.Module
        A stage between two Linear layers.

    Returns
    -------
    bool
        True for a LayerNorm, whole or compact: removed units must be zero
        at its input already.
    """
    return isinstance(module, nn.LayerNorm) or _is_partial_norm(module)


def _held(module: nn.Module, units: int) -> tuple[str, ...] | None:
    """What a stage holds per unit; None if it may mix or move units."""
    if _is(module, ELEMENTWISE):
        return ()
    if _is_partial_norm(module):
        width, entries = module.kept, ("weight", "bias")
    elif _is(module, PER_UNIT):
        where, entries = next(
            held for kind, held in PER_UNIT.items() if isinstance(module, kind)
        )
        width = getattr(module, where)
    else:
        return None
    if isinstance(module, nn.PReLU) and width == 1:
        return ()
    return entries if width in (units, (units,)) else None


def _is_linear(module: nn.Module) -> bool:
    return _is(module, [nn.Linear]) and not is_lazy(module.weight)


def links(container: nn.Module) -> list[Link]:
    """The links of the chains in a container.

    Arguments
    ---------
    container : nn.Module
        A container that runs in order.

    Returns
    -------
    list of Link
        In forward order. Softmax, GLU, recurrent layers, whatever is not
        known to keep units apart, end a chain; the last Linear of a chain
        has no successor and makes no link.

    Example
    -------
    >>> model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    >>> [(link.producer, link.consumer) for link in links(model)]
    [('0', '2')]
    """
    found, producer, units, between = [], None, 0, []
    for path, stage in stages(container):
        if _is_linear(stage):
            if producer is not None and stage.in_features == units > 0:
                found.append(Link(producer, path, tuple(between)))
            producer, units, between = path, stage.out_features, []
        elif producer is not None:
            held = _held(stage, units)
            if held is None:
                producer = None
            elif held:
                between.append((path, held))
    return found


def link_of(container: nn.Module, site: str) -> Link:
    """The link whose units a Linear gives.

    Arguments
    ---------
    container : nn.Module
        A container that runs in order.
    site : str
        Path of that Linear in the container.

    Returns
    -------
    Link
        One of ``links(container)``.
    """
    return next(link for link in links(container) if link.producer == site)


def members(container: nn.Module, link: Link) -> list[nn.Module]:
    """The stages that a link's units belong to: its two Linear layers, and
    what stands in between and holds something per unit.

    Arguments
    ---------
    container : nn.Module
        A container that runs in order.
    link : Link
        One of ``links(container)``.

    Returns
    -------
    list of nn.Module
        In forward order.
    """
    between = (path for path, _ in link.between)
    paths = (link.producer, *between, link.consumer)
    return [container.get_submodule(path) for path in paths]


def fully_connected(container: nn.Module) -> list[UnitVector]:
    """Unit n owns row n of its Linear, its bias entry, its entries of the
    norms and activations that follow, and column n of the next Linear."""
    return [_vector(container, link) for link in links(container)]


def _vector(container: nn.Module, link: Link) -> UnitVector:
    size = container.get_submodule(link.producer).out_features
    unit = column(torch.arange(size))
    between = (
        (join(path, entry), 0, unit)
        for path, held in link.between
        for entry in held
    )
    slices = slices_of(
        container,
        (join(link.producer, "weight"), 0, unit),
        (join(link.producer, "bias"), 0, unit),
        *between,
        (join(link.consumer, "weight"), 1, unit),
    )
    return UnitVector(link.producer, "fc", (size,), slices)

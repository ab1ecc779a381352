"""Chains of layers: the units between two Linear layers or convolutions.

A chain lives in a Sequential container (torch's or SpeechBrain's, nested at
will). The outputs of one Linear are a vector of units if nothing but stages
that leave every unit in its place stand before the next Linear. So are the
channels of one convolution before the next, a Linear or a recurrent layer.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from speechbrain.nnet import containers, dropout, linear, normalization, pooling
from speechbrain.nnet.activations import Swish
from torch import nn

from speechbrain_neuronprune.units.ends import (
    columns,
    given,
    giving,
    is_convolution,
    least,
    taken,
    takes,
    taking,
)
from speechbrain_neuronprune.units.kinds import runs_as
from speechbrain_neuronprune.units.vectors import (
    UnitVector,
    column,
    entry_of,
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
# The same for channels, of which torch's PReLU does not know where they are.
PER_CHANNEL = {
    nn.BatchNorm2d: PER_UNIT[nn.BatchNorm1d],
    nn.LayerNorm: PER_UNIT[nn.LayerNorm],
}

# Pooling keeps channels apart if it is over time (1) and bands (2) only.
POOLING = (pooling.Pooling1d, pooling.Pooling2d)
PLANE = {1, 2}


@dataclass(frozen=True)
class Link:
    """One vector of units of a chain, from layer to layer.

    Arguments
    ---------
    producer : str
        Path of the Linear or the convolution whose outputs are the units.
    consumer : str
        Path of the next layer, whose inputs they are.
    between : tuple of (str, tuple of str)
        Paths of the stages in between that hold something per unit, and
        what.
    """

    producer: str
    consumer: str
    between: tuple[tuple[str, tuple[str, ...]], ...]


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
    return runs_as(module, CONTAINERS)


def _wrapped(module: nn.Module) -> str | None:
    """Where a SpeechBrain wrapper keeps the torch layer that does its work
    over the last dimension; None for everything else."""
    if runs_as(module, [linear.Linear]):
        # With max_norm, a forward pass changes the weight.
        return "w" if module.max_norm is None else None
    if runs_as(module, [normalization.BatchNorm1d]):
        return None if module.skip_transpose else "norm"
    norms = [normalization.BatchNorm2d, normalization.LayerNorm]
    return "norm" if runs_as(module, norms) else None


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


def _held(module: nn.Module, producer: nn.Module) -> tuple[str, ...] | None:
    """What a stage holds per unit; None if it may mix or move units."""
    if _holds_nothing(module) or (
        is_convolution(producer) and _keeps_channels(module)
    ):
        return ()
    table = PER_CHANNEL if is_convolution(producer) else PER_UNIT
    if _is_partial_norm(module):
        width, entries = module.kept, ("weight", "bias")
    elif runs_as(module, table):
        where, entries = next(
            held for kind, held in table.items() if isinstance(module, kind)
        )
        width = getattr(module, where)
    else:
        return None
    return entries if _units_of(width, producer) == given(producer) else None


def _holds_nothing(module: nn.Module) -> bool:
    if runs_as(module, [nn.PReLU]):
        return module.num_parameters == 1
    return runs_as(module, ELEMENTWISE)


def _keeps_channels(module: nn.Module) -> bool:
    """Whether a stage of convolutions treats every channel alike."""
    if runs_as(module, POOLING):
        axes = module.pool_axis
        return PLANE >= ({axes} if isinstance(axes, int) else {*axes})
    return runs_as(module, [dropout.Dropout2d])


def _units_of(width: int | tuple[int, ...], producer: nn.Module) -> int | None:
    """The units among a norm's sizes; those of channels may have bands."""
    if isinstance(width, int):
        return width
    most = 2 if is_convolution(producer) else 1
    return width[-1] if len(width) <= most else None


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
        known to keep units apart, end a chain; its last layer has no
        successor and makes no link.

    Example
    -------
    >>> model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    >>> [(link.producer, link.consumer) for link in links(model)]
    [('0', '2')]
    """
    found, producer, start, between = [], None, "", []
    for path, stage in stages(container):
        if taking(stage):
            if producer is not None and takes(producer, stage):
                found.append(Link(start, path, tuple(between)))
            producer = stage if given(stage) else None
            start, between = path, []
        elif producer is not None:
            held = _held(stage, producer)
            if held is None:
                producer = None
            elif held:
                between.append((path, held))
    return found


def link_of(container: nn.Module, site: str) -> Link:
    """The link whose units a layer gives.

    Arguments
    ---------
    container : nn.Module
        A container that runs in order.
    site : str
        Path of that layer in the container.

    Returns
    -------
    Link
        One of ``links(container)``.
    """
    return next(link for link in links(container) if link.producer == site)


def members(container: nn.Module, link: Link) -> list[nn.Module]:
    """The stages that a link's units belong to: the layers at its ends, and
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


def chain_vectors(container: nn.Module) -> list[UnitVector]:
    """The vectors of units in a container.

    Unit n owns row n of its layer, its bias entry, its entries of the norms
    and activations that follow, and its columns of the next layer.

    Arguments
    ---------
    container : nn.Module
        A container that runs in order.

    Returns
    -------
    list of UnitVector
        In forward order, one per link.

    Example
    -------
    >>> model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    >>> [vector] = chain_vectors(model)
    >>> [one.parameter for one in vector.slices]
    ['0.weight', '0.bias', '2.weight']
    """
    return [_vector(container, link) for link in links(container)]


def _vector(container: nn.Module, link: Link) -> UnitVector:
    producer, *_, consumer = members(container, link)
    size = given(producer)
    unit = column(torch.arange(size))
    places = columns(taken(consumer), size)
    kind = "conv" if is_convolution(producer) else "fc"
    slices = slices_of(
        container,
        *((join(link.producer, name), 0, unit) for name in giving(producer)),
        *((name, _dim(container, name), unit) for name in _between(link)),
        *((join(link.consumer, name), 1, places) for name in taking(consumer)),
    )
    return UnitVector(link.producer, kind, (size,), slices, least(producer))


def _between(link: Link) -> list[str]:
    return [join(path, name) for path, held in link.between for name in held]


def _dim(container: nn.Module, name: str) -> int:
    """Along which dimension units lie: in a norm over bands and channels the
    last one."""
    value = entry_of(container, name)
    return 0 if value is None else value.ndim - 1

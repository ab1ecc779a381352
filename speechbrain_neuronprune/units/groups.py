"""Unit groups: which hidden units a model has, and what each of them owns.

A *unit group* is a named vector of hidden units of one layer that can be
removed one at a time. For each unit it knows the exact slices of every
parameter that go when the unit goes; masking, compaction, saliency and
selective updates all read this one description.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import fnmatch
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain

from torch import nn

from speechbrain_neuronprune.errors import UnitsError
from speechbrain_neuronprune.units.chains import (
    chain_vectors,
    link_of,
    members,
    runs_in_order,
)
from speechbrain_neuronprune.units.layouts import ATTENTION, LAYOUTS, kind_of
from speechbrain_neuronprune.units.places import obstacles, walk
from speechbrain_neuronprune.units.problems import layer_problem
from speechbrain_neuronprune.units.vectors import (
    ParameterSlice,
    UnitVector,
    entry_of,
    join,
)

Targets = str | Iterable[str] | None


@dataclass(frozen=True)
class UnitGroup:
    """A named vector of removable hidden units of one layer.

    Arguments
    ---------
    name : str
        For instance ``encoder.layers.0.mha_layer.query``.
    kind : str
        ``ffn``, ``query``, ``value``, ``conv`` or ``fc``.
    layer : str
        Path of the module that holds the units.
    site : str
        Which vector of that module; unique within the layer.
    widths : tuple of int
        Units per attention head; one entry where there are no heads.
    slices : tuple of ParameterSlice
        What each unit owns.
    parameters_per_unit : int
        Scalar parameters that one unit owns.
    cross : bool
        Whether the layer is cross-attention.
    least : int
        How many units the layer needs to run, be they dead ones.
    """

    name: str
    kind: str
    layer: str
    site: str
    widths: tuple[int, ...]
    slices: tuple[ParameterSlice, ...] = field(repr=False)
    parameters_per_unit: int
    cross: bool = False
    least: int = 0

    @property
    def size(self) -> int:
        """Number of units in the group."""
        return sum(self.widths)


def _parameters_per_unit(
    layer: nn.Module, slices: tuple[ParameterSlice, ...]
) -> int:
    """A unit may own a row and a column of one weight; the scalar where they
    cross counts once."""
    left: dict[str, list[int]] = {}
    buffers = dict(layer.named_buffers())
    for one in slices:
        if one.parameter in buffers:
            continue
        shape = entry_of(layer, one.parameter).shape
        flat = [math.prod(shape)] if one.dim is None else list(shape)
        sizes = left.setdefault(one.parameter, flat)
        dim = one.dim or 0
        sizes[dim] = max(0, sizes[dim] - one.index.shape[1])
    return sum(
        entry_of(layer, name).numel() - math.prod(sizes)
        for name, sizes in left.items()
    )


def _group_name(path: str, vector: UnitVector) -> str:
    """A feed-forward module inside ``ffn_moduleK`` goes by its block's name
    for it; attention has two vectors and a container many, so those carry
    the site."""
    if vector.kind == "ffn":
        head, _, last = path.rpartition(".")
        return head if last == "1" and "ffn_module" in head else path
    return path if vector.site == "channels" else join(path, vector.site)


def vectors_of(layer: nn.Module, cross: bool | None = None) -> list[UnitVector]:
    """The vectors of units of a layer.

    Arguments
    ---------
    layer : nn.Module
        A layer with units, or any other (which has none), as has a layer
        whose units cannot be removed exactly.
    cross : bool, optional
        For attention: whether it is cross-attention.

    Returns
    -------
    list of UnitVector
        In forward order.
    """
    if hasattr(layer, "folded"):
        return []
    if runs_in_order(layer):
        return chain_vectors(layer)
    kind = kind_of(layer)
    if kind is None or layer_problem(layer, cross) is not None:
        return []
    role = [bool(cross)] if kind in ATTENTION else []
    return LAYOUTS[kind](layer, *role)


def groups_of(
    path: str, layer: nn.Module, cross: bool | None = None
) -> list[UnitGroup]:
    """The unit groups of one layer.

    Arguments
    ---------
    path : str
        Where the layer is in its model.
    layer : nn.Module
        A layer with units, or any other (which has no groups).
    cross : bool, optional
        For attention: whether it is cross-attention.

    Returns
    -------
    list of UnitGroup
        In forward order.
    """
    return [
        UnitGroup(
            name=_group_name(path, vector),
            kind=vector.kind,
            layer=path,
            site=vector.site,
            widths=tuple(vector.widths),
            slices=vector.slices,
            parameters_per_unit=_parameters_per_unit(layer, vector.slices),
            cross=bool(cross),
            least=vector.least,
        )
        for vector in vectors_of(layer, cross)
    ]


def _matches(name: str, kind: str, patterns: list[str] | None) -> bool:
    if patterns is None:
        return True
    return any(
        pattern in (name, kind) or fnmatch.fnmatchcase(name, pattern)
        for pattern in patterns
    )


def _patterns(targets: Targets) -> list[str] | None:
    if targets is None:
        return None
    return [targets] if isinstance(targets, str) else list(targets)


def _refuse_unsupported(
    model: nn.Module, patterns: list[str] | None, kinds: Iterable[str]
) -> None:
    for found in obstacles(model):
        names = {join(found.path, kind): kind for kind in found.kinds}
        names[found.path] = found.kinds[0]
        if not any(_matches(n, kind, patterns) for n, kind in names.items()):
            continue
        others = [
            kind for kind in dict.fromkeys(kinds) if kind not in found.kinds
        ]
        remedy = "Leave it out with targets over other groups, for instance"
        raise UnitsError(
            f"The layer {found.path or 'given'} is a "
            f"{type(found.layer).__name__}, whose "
            f"units cannot be removed exactly: {found.problem}."
            + (f" {remedy} {others}." if others else "")
        )


def _check_patterns(
    patterns: list[str] | None, groups: list[UnitGroup]
) -> None:
    for pattern in patterns or []:
        if not any(_matches(g.name, g.kind, [pattern]) for g in groups):
            kinds = sorted({group.kind for group in groups})
            names = ", ".join(group.name for group in groups) or "none"
            raise UnitsError(
                f"The target {pattern!r} matches no unit group; use one of "
                f"the kinds {kinds} or a pattern over the groups: {names}."
            )


def find_units(
    model: nn.Module, targets: Targets = None
) -> dict[str, UnitGroup]:
    """Find the groups of hidden units that can be removed from a model.

    Arguments
    ---------
    model : nn.Module
        Anything that holds SpeechBrain's Conformer, Transformer or
        Branchformer layers (encoder and decoder) or feed-forward modules,
        for instance a ``TransformerASR``, or chains of fully connected layers
        and of convolutions in a Sequential container (torch's or
        SpeechBrain's), for instance the CNN and the DNN of a ``CRDNN``. The
        last layer of a chain is no group, and neither is one that the model
        holds under two names.
    targets : str or iterable of str, optional
        fnmatch patterns over group names, or kinds (``ffn``, ``query``,
        ``value``, ``conv``, ``fc``); None takes every group.

    Returns
    -------
    dict of str to UnitGroup
        The groups in forward order.

    Raises
    ------
    UnitsError
        If a target matches no group (the message lists what there is), or
        selects a layer whose units cannot be removed exactly.

    Example
    -------
    >>> from speechbrain.lobes.models.transformer.Conformer import (
    ...     ConformerEncoder,
    ... )
    >>> encoder = ConformerEncoder(1, 16, 32, 2, kernel_size=3)
    >>> for group in find_units(encoder).values():
    ...     print(group.name, group.size, group.parameters_per_unit)
    layers.0.ffn_module1 32 33
    layers.0.mha_layer.query 16 50
    layers.0.mha_layer.value 16 32
    layers.0.convolution_module 16 56
    layers.0.ffn_module2 32 33
    >>> model = nn.Sequential(nn.Linear(8, 5), nn.ReLU(), nn.Linear(5, 2))
    >>> find_units(model)["0"].parameters_per_unit
    11
    """
    patterns = _patterns(targets)
    groups = supported_units(model)
    kinds = [group.kind for group in groups.values()]
    _refuse_unsupported(model, patterns, kinds)
    _check_patterns(patterns, list(groups.values()))
    return {
        name: group
        for name, group in groups.items()
        if _matches(name, group.kind, patterns)
    }


def supported_units(model: nn.Module) -> dict[str, UnitGroup]:
    """Every group of a model, passing over layers that are not supported.

    Arguments
    ---------
    model : nn.Module
        Any model.

    Returns
    -------
    dict of str to UnitGroup
        The groups in forward order.
    """
    return {group.name: group for group in _groups(model)}


def _groups(model: nn.Module) -> Iterator[UnitGroup]:
    """All groups in forward order. The units of a chain are met at the
    Linear that gives them: other layers may stand between two of them."""
    held_twice = _held_twice(model)
    chained: dict[str, UnitGroup] = {}
    for place in walk(model):
        found = groups_of(place.path, place.module, place.cross)
        groups = [g for g in found if not _owners(model, g) & held_twice]
        if runs_in_order(place.module):
            chained.update({group.name: group for group in groups})
        elif len(groups) < len(found):
            continue  # a head that goes takes its queries and its values along
        elif place.path in chained:
            yield chained[place.path]
        else:
            yield from groups


def _held_twice(model: nn.Module) -> set[int]:
    """Modules and parameters that a model holds under more than one name: if
    one of them is used twice, no unit can be taken from it alone."""
    modules = model.named_modules(remove_duplicate=False)
    parameters = model.named_parameters(remove_duplicate=False)
    counts = Counter(id(part) for _, part in chain(modules, parameters))
    return {part for part, count in counts.items() if count > 1}


def _owners(model: nn.Module, group: UnitGroup) -> set[int]:
    """The modules and parameters that a group's units belong to."""
    layer = model.get_submodule(group.layer)
    if runs_in_order(layer):
        owners = members(layer, link_of(layer, group.site))
        parameters = (stage.parameters() for stage in owners)
        return {id(part) for part in chain(owners, *parameters)}
    parameters = (entry_of(layer, one.parameter) for one in group.slices)
    return {id(part) for part in chain([layer], parameters)}


def linears_of(
    model: nn.Module, group: UnitGroup
) -> tuple[nn.Linear, nn.Linear]:
    """The two Linear layers on either side of fully connected units.

    Arguments
    ---------
    model : nn.Module
        The model that the group belongs to.
    group : UnitGroup
        One of ``find_units(model)``, of kind ``fc`` or ``ffn``.

    Returns
    -------
    tuple of nn.Linear
        The producer, whose outputs are the units, and the consumer, whose
        inputs they are after nonlinearity, norms and dropout.

    Raises
    ------
    UnitsError
        If the group is of another kind.

    Example
    -------
    >>> model = nn.Sequential(nn.Linear(2, 3), nn.Sigmoid(), nn.Linear(3, 1))
    >>> linears_of(model, find_units(model)["0"])
    (Linear(in_features=2, out_features=3, bias=True),
     Linear(in_features=3, out_features=1, bias=True))
    """
    if group.kind not in ("fc", "ffn"):
        raise UnitsError(
            f"The group {group.name} is of kind {group.kind}; this takes "
            "fully connected units (fc, ffn): leave it out with "
            "targets=['fc', 'ffn']."
        )
    layer = model.get_submodule(group.layer)
    linears = {}
    for one in group.slices:
        path, _, entry = one.parameter.rpartition(".")
        owner = layer.get_submodule(path)
        if entry == "weight" and isinstance(owner, nn.Linear):
            linears[one.dim] = owner
    return linears[0], linears[1]


def count_parameters(model: nn.Module) -> int:
    """Count a model's parameters, without the logits of its gates.

    Arguments
    ---------
    model : nn.Module
        Any model, gated or not.

    Returns
    -------
    int
        Scalars that the deployed model would have if every unit stayed.

    Example
    -------
    >>> count_parameters(nn.Linear(3, 2))
    8
    """
    logits = {
        id(parameter)
        for module in model.modules()
        if getattr(module, "is_gate", False)
        for parameter in module.parameters()
    }
    return sum(
        parameter.numel()
        for parameter in model.parameters()
        if id(parameter) not in logits
    )

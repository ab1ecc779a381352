"""Whether all that holds the weights of a layer follows when it gets narrower.

A directory that SpeechBrain loads may hold one layer in several modules, and
weights that come from elsewhere than its files. A smaller directory can be
made only where neither matters to the units that go.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Iterable, Iterator, Mapping

from torch import Tensor, nn

from speechbrain_neuronprune.errors import ExportError
from speechbrain_neuronprune.plan import PruningPlan
from speechbrain_neuronprune.units import UnitGroup, supported_units
from speechbrain_neuronprune.units.chains import runs_in_order
from speechbrain_neuronprune.units.vectors import entry_of

REMEDY = "leave its units in the plan (neuronprune plan --targets)"


def groups_cut(network: nn.Module, plan: PruningPlan) -> list[UnitGroup]:
    """The groups that lose units.

    Arguments
    ---------
    network : nn.Module
        What the plan is for.
    plan : PruningPlan
        Which units stay.

    Returns
    -------
    list of UnitGroup
        In forward order.
    """
    return [
        group
        for name, group in supported_units(network).items()
        if name in plan.keep and not plan.keep[name].all()
    ]


def tensors_of(network: nn.Module, group: UnitGroup) -> list[Tensor]:
    """The parameters and buffers that a group's units own a part of.

    Arguments
    ---------
    network : nn.Module
        What the group is of.
    group : UnitGroup
        One of its groups.

    Returns
    -------
    list of torch.Tensor
        Whole tensors.
    """
    layer = network.get_submodule(group.layer)
    return [entry_of(layer, one.parameter) for one in group.slices]


def holding(
    tensors: Iterable[Tensor], modules: Mapping[str, nn.Module]
) -> set[str]:
    """Which modules hold any of some tensors.

    Arguments
    ---------
    tensors : iterable of torch.Tensor
        Parameters or buffers.
    modules : mapping
        Name to module.

    Returns
    -------
    set of str
        Names.

    Example
    -------
    >>> modules = {"a": nn.Linear(1, 1), "b": nn.Linear(1, 1)}
    >>> holding([modules["b"].bias], modules)
    {'b'}
    """
    wanted = set(map(id, tensors))
    return {
        name
        for name, module in modules.items()
        if wanted & set(map(id, _tensors(module)))
    }


def check_loaded(
    network: nn.Module,
    groups: Iterable[UnitGroup],
    loaded: Mapping[str, nn.Module],
) -> None:
    """Refuse weights that no file of the directory holds: what is built in
    their place next time, nobody can narrow to the units that stayed.

    Arguments
    ---------
    network : nn.Module
        What the groups are of.
    groups : iterable of UnitGroup
        Those that lose units.
    loaded : mapping
        The modules that files were loaded into.

    Raises
    ------
    ExportError
        If a group's weights are in none of them.
    """
    held = {id(one) for thing in loaded.values() for one in _tensors(thing)}
    for group in groups:
        if not all(id(one) in held for one in tensors_of(network, group)):
            raise ExportError(
                f"The weights of {group.name} are in none of the files that "
                "the directory's pretrainer loads "
                f"({', '.join(loaded) or 'none'}); {REMEDY}."
            )


def check_holders(
    network: nn.Module, groups: Iterable[UnitGroup], modules: nn.Module
) -> None:
    """Refuse layers of which something else holds a part, too: it would go
    on with the width of before.

    Arguments
    ---------
    network : nn.Module
        What the groups are of.
    groups : iterable of UnitGroup
        Those that lose units.
    modules : nn.Module
        Everything that may hold a part of them.

    Raises
    ------
    ExportError
        If something outside of a layer does.
    """
    for group in groups:
        scope = network.get_submodule(_scope(network, group))
        within = set(map(id, scope.modules()))
        parts = set(map(id, tensors_of(network, group)))
        parts |= {
            id(one)
            for one in scope.modules()
            if one is not scope and parts & {*map(id, _tensors(one))}
        }
        for other in modules.modules():
            held = {*map(id, other.children()), *map(id, _own(other))}
            if id(other) not in within and held & parts:
                raise ExportError(
                    f"The layer of {group.name} is a part of a "
                    f"{type(other).__name__} besides, which would go on "
                    f"with the width of before; {REMEDY}."
                )


def _scope(network: nn.Module, group: UnitGroup) -> str:
    """What is changed in place: a chain, or what a layer is a part of."""
    if runs_in_order(network.get_submodule(group.layer)):
        return group.layer
    return group.layer.rpartition(".")[0]


def _tensors(module: nn.Module) -> Iterator[Tensor]:
    yield from module.parameters()
    yield from module.buffers()


def _own(module: nn.Module) -> Iterator[Tensor]:
    yield from module.parameters(recurse=False)
    yield from module.buffers(recurse=False)

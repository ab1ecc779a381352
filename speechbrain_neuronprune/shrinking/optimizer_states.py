"""Optimisers of models that shrink: moments follow their parameters.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from speechbrain_neuronprune.errors import TrainingError
from speechbrain_neuronprune.shrinking.dense_form import dense_form
from speechbrain_neuronprune.shrinking.origins import Origin

# Before -> what has taken its place, if anything, and what is left of it
Successors = Mapping[
    nn.Parameter, tuple[nn.Parameter, Origin] | tuple[None, None]
]


def successors(
    before: Mapping[str, nn.Parameter],
    after: Mapping[str, nn.Parameter],
    origins: Mapping[str, Origin],
) -> Successors:
    """What has become of the parameters of a model that was narrowed.

    Arguments
    ---------
    before : mapping of str to nn.Parameter
        The parameters that it had, by name.
    after : mapping of str to nn.Parameter
        Those it has now.
    origins : mapping of str to Origin
        Where the entries of the new ones were.

    Returns
    -------
    dict
        Old parameter to the new one and its origin; to None and None if
        nothing is left of it. Those that were not cut are not in it.
    """
    found: dict = dict.fromkeys(before.values(), (None, None))
    for name, value in after.items():
        found[before[origins[name].name]] = (value, origins[name])
    return {old: new for old, new in found.items() if new[0] is not old}


def check_states(optimizer: Optimizer, cut: Iterable[nn.Parameter]) -> None:
    """Refuse optimisers whose state does not lie beside the parameters.

    Arguments
    ---------
    optimizer : Optimizer
        Any.
    cut : iterable of nn.Parameter
        What is going to be cut.

    Raises
    ------
    TrainingError
        If a state that is kept for one of them has another shape.
    """
    for parameter in cut:
        for name, value in optimizer.state.get(parameter, {}).items():
            plain = not torch.is_tensor(value) or not value.ndim
            if plain or value.shape == parameter.shape:
                continue
            raise TrainingError(
                f"The {name} of a {type(optimizer).__name__} has the shape "
                f"{tuple(value.shape)} for a parameter of shape "
                f"{tuple(parameter.shape)}, so it cannot shrink with it; "
                "train with Adam, AdamW or SGD, or without shrinking."
            )


def hand_over(optimizer: Optimizer, parameters: Successors) -> None:
    """Let an optimiser go on with the parameters that are left, from their
    part of the state and of the gradients.

    Arguments
    ---------
    optimizer : Optimizer
        Changed in place.
    parameters : mapping
        What ``successors`` gave.
    """
    # Where a Linear(2, 4) keeps its last unit alone, a weight of (1, 2) takes
    # the place of that of (4, 2), and in its state the last row of exp_avg that
    # of (4, 2); the number of steps, a scalar, is handed on as it is. A norm
    # that is gone takes its state along.
    for group in optimizer.param_groups:
        now = (parameters.get(p, (p, None))[0] for p in group["params"])
        group["params"] = [p for p in now if p is not None]
    for old, (new, origin) in parameters.items():
        state = optimizer.state.pop(old, None)
        if new is None:
            continue
        if state is not None:
            optimizer.state[new] = {
                name: _change(value, old.shape, origin.take)
                for name, value in state.items()
            }
        if old.grad is not None:
            new.grad = origin.take(old.grad)


def _change(value: Any, shape: torch.Size, change: Any) -> Any:
    """Cut or fill up what has the shape of a parameter."""
    beside = torch.is_tensor(value) and value.ndim and value.shape == shape
    return change(value) if beside else value


@dataclass(frozen=True)
class _Slot:
    """The place of a parameter from before among those of an optimiser.

    ``there`` is its number then, ``here`` the number of what is left of it,
    or None; ``shape`` is that from before. Parameters of other models have
    no origin.
    """

    there: int
    here: int | None
    origin: Origin | None
    shape: torch.Size | None

    def fill(self, state: dict) -> dict:
        """A parameter's state with zeros for what is gone."""
        if self.origin is None:
            return state
        spread = partial(self.origin.spread, base=torch.zeros(self.shape))
        shape = self.origin.positions.shape
        return {k: _change(v, shape, spread) for k, v in state.items()}

    def cut(self, state: dict) -> dict:
        """The part of a parameter's state that is left."""
        if self.origin is None:
            return state
        take = self.origin.take
        return {k: _change(v, self.shape, take) for k, v in state.items()}


class DenseState:
    """Lets an optimiser save and load its state as if nothing had left.

    Arguments
    ---------
    optimizer : Optimizer
        It gets hooks.
    model : nn.Module
        The model, before it shrinks.
    """

    def __init__(self, optimizer: Optimizer, model: nn.Module) -> None:
        names = {p: name for name, p in model.named_parameters()}
        self.model = model
        # Names of the model's parameters; None for those of others.
        self.names = [
            [names.get(p) for p in group["params"]]
            for group in optimizer.param_groups
        ]
        self.handles = [
            optimizer.register_state_dict_post_hook(self.whole),
            optimizer.register_load_state_dict_pre_hook(self.part),
        ]

    def whole(self, optimizer: Optimizer, state: dict) -> dict:
        """The state that there would have been, after ``state_dict``.

        Arguments
        ---------
        optimizer : Optimizer
            The optimiser.
        state : dict
            What its ``state_dict`` gives.

        Returns
        -------
        dict
            In the shapes from before.
        """
        groups, states = [], state["state"]
        whole: dict[int, dict] = {}
        for group, slots in self._slots(optimizer, state["param_groups"]):
            groups.append({**group, "params": [slot.there for slot in slots]})
            here = [slot for slot in slots if slot.here in states]
            whole |= {s.there: s.fill(states[s.here]) for s in here}
        return {**state, "param_groups": groups, "state": whole}

    def part(self, optimizer: Optimizer, state: dict) -> dict:
        """What is left of a state, before ``load_state_dict``.

        Arguments
        ---------
        optimizer : Optimizer
            The optimiser.
        state : dict
            In the shapes from before.

        Returns
        -------
        dict
            What its ``load_state_dict`` shall read.
        """
        groups, states = [], state["state"]
        part: dict[int, dict] = {}
        for group, slots in self._slots(optimizer, state["param_groups"]):
            slots = [slot for slot in slots if slot.here is not None]
            groups.append({**group, "params": [slot.here for slot in slots]})
            there = [slot for slot in slots if slot.there in states]
            part |= {s.here: s.cut(states[s.there]) for s in there}
        return {**state, "param_groups": groups, "state": part}

    def _slots(
        self, optimizer: Optimizer, groups: list[dict]
    ) -> Iterator[tuple[dict, list[_Slot]]]:
        """Every group of a state dict with the places of its parameters."""
        # A state dict knows parameters by their number, over all groups. Of
        # [w1, norm, head, w2], where the norm has left and the head is that
        # of another model, it is
        #   there  0: w1    1: norm    2: head    3: w2
        #   here   0: w1'              1: head    2: w2'
        # so the slots are (0, 0), (1, None), (2, 1) and (3, 2).
        origins = self._origins()
        self._name_added(optimizer, origins)
        before = dense_form(self.model).model.named_parameters()
        shapes = {name: p.shape for name, p in before}
        there, here = count(), count()
        for packed, group, names in zip(
            groups, optimizer.param_groups, self.names, strict=True
        ):
            left, others = _numbers(group["params"], origins, here)
            slots = [
                _Slot(next(there), next(others), None, None)
                if name is None
                else _Slot(
                    next(there), *left.get(name, (None, None)), shapes[name]
                )
                for name in names
            ]
            yield packed, slots

    def _origins(self) -> dict[nn.Parameter, Origin]:
        """Where the entries of the model's parameters were."""
        origins = dense_form(self.model).origins(self.model)
        return {
            p: origins[name]
            for name, p in self.model.named_parameters()
            if name in origins
        }

    def _name_added(
        self, optimizer: Optimizer, origins: Mapping[nn.Parameter, Origin]
    ) -> None:
        """Take in the groups that the optimiser has been given since."""
        for group in optimizer.param_groups[len(self.names) :]:
            held = (origins.get(p) for p in group["params"])
            self.names.append([one and one.name for one in held])

    def grow(
        self,
        optimizer: Optimizer,
        before: Collection[nn.Parameter],
        after: Mapping[str, nn.Parameter],
    ) -> None:
        """Give an optimiser the parameters of a model that has its shapes
        back.

        Arguments
        ---------
        optimizer : Optimizer
            Changed in place.
        before : collection of nn.Parameter
            Those that the model had until now.
        after : mapping of str to nn.Parameter
            Those that it has now, by name.
        """
        for handle in self.handles:
            handle.remove()
        for group, names in zip(
            optimizer.param_groups, self.names, strict=True
        ):
            others = iter([p for p in group["params"] if p not in before])
            group["params"] = [
                next(others) if name is None else after[name] for name in names
            ]


def _numbers(
    parameters: Iterable[nn.Parameter],
    origins: Mapping[nn.Parameter, Origin],
    here: Iterator[int],
) -> tuple[dict[str, tuple[int, Origin]], Iterator[int]]:
    """Number the parameters of a group: those of the model, by the names that
    they had before, and those of others, in order."""
    left: dict[str, tuple[int, Origin]] = {}
    others = []
    for parameter, number in zip(parameters, here, strict=False):
        origin = origins.get(parameter)
        if origin is None:
            others.append(number)
        else:
            left[origin.name] = (number, origin)
    return left, iter(others)

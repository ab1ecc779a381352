"""Schedules and logits that follow an optimiser, with nobody calling them.

A training script that knows nothing of gates only steps its optimiser. Hooks
around every step of every optimiser do the rest, for those that hold the
logits of a followed schedule.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import functools
import math
import sys
import weakref
from collections.abc import Container, Iterable
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from speechbrain_neuronprune.errors import TrainingError
from speechbrain_neuronprune.gates.adaptive_dropout import AdaptiveDropout
from speechbrain_neuronprune.gates.informed import (
    InformedDropout,
    begin_together,
)
from speechbrain_neuronprune.gates.schedule import RetentionSchedule
from speechbrain_neuronprune.processes import take_from_first


def follow_optimizer(
    schedule: RetentionSchedule,
    gates: Iterable[AdaptiveDropout],
    gamma: float,
) -> None:
    """Let a schedule and its gates' logits follow whatever optimiser has them.

    Before each of its steps, ``2 * gamma * logits`` is added to the logits'
    gradients: the penalty of Kubo et al., eq. 5, reparametrised, as Adam's
    coupled weight decay would do it. The optimiser's own weight decay passes
    the logits by. After the step, c(t) advances. A step that a ``GradScaler``
    leaves out counts for nothing. A closure's gradients get the penalty
    whenever it has made them, and an optimiser that steps another one in turn
    (Lookahead, SAM) takes one step with it.

    It is safe to copy, pickle and move the model. A copy follows its own
    optimiser, and nothing is left behind when the model is gone.

    Gates of the kind ``InformedDropout`` begin by themselves when the hold is
    over, ranked together. Until then their gradients, which are zero, are
    taken away before each step, so that the optimiser begins with them when
    they do. With several optimisers, those that step after the one that sets
    the pace begin a step earlier.

    Arguments
    ---------
    schedule : RetentionSchedule
        c(t). If several optimisers share its logits, that of the last gate
        that learns sets the pace. Gates that are replaced meanwhile do not
        count.
    gates : iterable of AdaptiveDropout
        The gates that share the schedule; more may be added later.
    gamma : float
        Weight of the penalty; 0 for none.

    Raises
    ------
    TrainingError
        If gamma is negative or not finite. A later step raises it if gates
        are to begin that have noted nothing.

    Example
    -------
    >>> schedule = RetentionSchedule(steps=10)
    >>> gate = AdaptiveDropout(4, schedule=schedule)
    >>> follow_optimizer(schedule, [gate], gamma=1e-3)
    >>> optimizer = torch.optim.Adam(gate.parameters())
    >>> gate(torch.ones(1, 4)).sum().backward()
    >>> optimizer.step()
    >>> schedule.step
    1
    """
    if not 0 <= gamma < math.inf:
        raise TrainingError(
            f"Logits cannot be drawn by a penalty of gamma={gamma}; give a "
            "number >= 0."
        )
    gates = list(gates)
    if schedule.follower is None:
        schedule.follower = OptimizerFollower(schedule)
    schedule.follower.add(gates, float(gamma))
    for gate in gates:
        if isinstance(gate, InformedDropout):
            gate.follow()


class OptimizerFollower:
    """What follows: a schedule, and gates with the weight of their pull.

    The schedule owns it, so it lives and is copied with the model; the hooks
    only know it weakly. So does it know the gates: one that has left the
    model, for a mask in its place, must not set the pace.

    Arguments
    ---------
    schedule : RetentionSchedule
        c(t).
    """

    def __init__(self, schedule: RetentionSchedule) -> None:
        self.schedule = schedule
        self._gates: list[tuple[weakref.ref[AdaptiveDropout], float]] = []
        self._enrol()

    def __getstate__(self) -> dict[str, Any]:
        """Weak references can be neither copied nor pickled."""
        return {"schedule": self.schedule, "pulls": self.pulls}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Be copied or unpickled."""
        self.schedule, self._gates = state["schedule"], []
        for gate, gamma in state["pulls"]:
            self.add([gate], gamma)
        self._enrol()

    def _enrol(self) -> None:
        _register_hooks()
        _FOLLOWERS[self] = None

    def add(self, gates: Iterable[AdaptiveDropout], gamma: float) -> None:
        """Let more gates be pulled.

        Arguments
        ---------
        gates : iterable of AdaptiveDropout
            The gates, known weakly.
        gamma : float
            The weight of their penalty.
        """
        places = {id(g()): n for n, (g, _) in enumerate(self._gates)}
        for gate in gates:
            entry = weakref.ref(gate), gamma
            if id(gate) in places:
                self._gates[places[id(gate)]] = entry
            else:
                self._gates.append(entry)

    def forget(self, gate: AdaptiveDropout) -> None:
        """Follow a gate no more that another one has replaced.

        Arguments
        ---------
        gate : AdaptiveDropout
            It may be known elsewhere, and so not be gone.
        """
        self._gates = [one for one in self._gates if one[0]() is not gate]

    @property
    def pulls(self) -> list[tuple[AdaptiveDropout, float]]:
        """The gates that are still there, and the weight of their pull."""
        found = ((gate(), gamma) for gate, gamma in self._gates)
        return [(gate, gamma) for gate, gamma in found if gate is not None]

    @property
    def waiting(self) -> list[InformedDropout]:
        """The gates that begin when the hold is over."""
        gates = (gate for gate, _ in self.pulls)
        informed = (gate for gate in gates if isinstance(gate, InformedDropout))
        return [g for g in informed if g.waits and g.logits.requires_grad]

    def followed(self, held: set[nn.Parameter]) -> dict[nn.Parameter, float]:
        """The logits that are held, and the weight of their pull.

        Arguments
        ---------
        held : set of nn.Parameter
            What an optimiser holds.

        Returns
        -------
        dict of nn.Parameter to float
            Gamma by logits.
        """
        ours = {gate.logits: gamma for gate, gamma in self.pulls}
        return {one: gamma for one, gamma in ours.items() if one in held}

    def pull(self, held: set[nn.Parameter], factor: Any) -> None:
        """Add the penalty to the gradients of the logits that are held; take
        those of logits that wait.

        Arguments
        ---------
        held : set of nn.Parameter
            What an optimiser holds.
        factor : Any
            What the gradients are still multiplied by, as those of a fused
            optimiser are by a gradient scaler; 1 otherwise.
        """
        for gate in self.waiting:
            if gate.logits in held:
                gate.logits.grad = None
        for logits, gamma in self.followed(held).items():
            if logits.grad is not None:
                logits.grad.add_(logits * factor, alpha=2.0 * gamma)

    def advance(self, held: set[nn.Parameter]) -> None:
        """Count a step, if the optimiser that sets the pace took it.

        Arguments
        ---------
        held : set of nn.Parameter
            What the optimiser holds that took a step.
        """
        # Logits that were frozen before they were decided learn no more.
        learning = [
            gate.logits
            for gate, _ in self.pulls
            if gate.logits.requires_grad or gate.is_decided
        ]
        if learning and learning[-1] in held:
            self.schedule.advance()
            if self.schedule.step >= self.schedule.hold:
                self._inform(self.waiting)

    def _inform(self, gates: list[InformedDropout]) -> None:
        """Let gates begin that have waited. Every process has heard other
        speech; one decides for all of them."""
        if not gates:
            return
        take_from_first(gate.importance for gate in gates)
        silent = sum(not gate.importance.any() for gate in gates)
        if silent:
            raise TrainingError(
                f"{silent} of {len(gates)} informed gates have noted nothing "
                "while c(t) held, as their layers were frozen, in evaluation "
                "or not used; let RetentionSchedule hold for longer than "
                "that, or leave these layers out with targets."
            )
        begin_together(gates, [gate.worth for gate in gates])


# In the order of their making, which all processes share
_FOLLOWERS: weakref.WeakKeyDictionary[OptimizerFollower, None] = (
    weakref.WeakKeyDictionary()
)

# The optimisers that are stepping now, without those that they step in turn.
_STEPPING: weakref.WeakSet[Optimizer] = weakref.WeakSet()

# The groups that logits were taken out of during a step, as they were.
_WHOLE_GROUPS: weakref.WeakKeyDictionary[Optimizer, list] = (
    weakref.WeakKeyDictionary()
)


@functools.cache
def _register_hooks() -> None:
    register_optimizer_step_pre_hook(_before_step)
    register_optimizer_step_post_hook(_after_step)


def _parameters(optimizer: Optimizer) -> set[nn.Parameter]:
    return {p for group in optimizer.param_groups for p in group["params"]}


def _before_step(
    optimizer: Optimizer, args: tuple, kwargs: dict
) -> tuple[tuple, dict] | None:
    if not _FOLLOWERS:
        return None
    _join_groups(optimizer)  # the last step may have raised
    outer = _steppers_of(optimizer)
    for other in outer:
        _join_groups(other)  # it may share them, and does not use them now
    held = _parameters(optimizer)
    for follower in _FOLLOWERS:
        _set_apart(optimizer, follower.followed(held))
    if outer:
        return None
    _STEPPING.add(optimizer)
    return _pull_in_time(optimizer, args, kwargs)


def _steppers_of(optimizer: Optimizer) -> list[Optimizer]:
    """The optimisers within whose steps this one is stepped. Of those that
    have nothing in common with it, or are not running, the step has raised."""
    held = _parameters(optimizer)
    others = (other for other in _STEPPING if other is not optimizer)
    sharing = [other for other in others if _parameters(other) & held]
    return [other for other in sharing if _is_running(other)]


def _is_running(optimizer: Optimizer) -> bool:
    """Whether this is called, however indirectly, by one of its methods."""
    frame = sys._getframe()
    while frame is not None:
        if frame.f_locals.get("self") is optimizer:
            return True
        frame = frame.f_back
    return False


def _pull_in_time(
    optimizer: Optimizer, args: tuple, kwargs: dict
) -> tuple[tuple, dict] | None:
    """Pull now, or, as a closure will make the gradients anew, whenever it
    has: then return the arguments of the step with such a closure."""
    itself, *others = args
    closure = kwargs.get("closure", others[0] if others else None)
    if not callable(closure):
        _pull(optimizer)
        return None

    def and_pull() -> Any:
        loss = closure()
        _pull(optimizer)
        return loss

    if "closure" in kwargs:
        return args, {**kwargs, "closure": and_pull}
    return (itself, and_pull, *others[1:]), kwargs


@torch.no_grad()
def _pull(optimizer: Optimizer) -> None:
    held = _parameters(optimizer)
    # A fused optimiser gets gradients that are still scaled up.
    factor = getattr(optimizer, "grad_scale", None)
    factor = 1.0 if factor is None else factor
    for follower in _FOLLOWERS:
        follower.pull(held, factor)


def _after_step(optimizer: Optimizer, args: tuple, kwargs: dict) -> None:
    _join_groups(optimizer)
    if optimizer not in _STEPPING:
        return
    _STEPPING.discard(optimizer)
    # A fused optimiser is called even if the GradScaler found a gradient
    # that is not finite, and then does nothing.
    found = getattr(optimizer, "found_inf", None)
    if found is not None and found.item():
        return
    held = _parameters(optimizer)
    # To steer, models are copied, and their followers enrol.
    for follower in tuple(_FOLLOWERS):
        follower.advance(held)


def _set_apart(optimizer: Optimizer, logits: Container[nn.Parameter]) -> None:
    """Put logits that would be decayed into groups without weight decay."""
    for group in list(optimizer.param_groups):
        ours = [p for p in group["params"] if p in logits]
        if not ours or not group.get("weight_decay"):
            continue
        whole = _WHOLE_GROUPS.setdefault(optimizer, [])
        whole.append((group, group["params"]))
        group["params"] = [p for p in group["params"] if p not in logits]
        optimizer.param_groups.append(
            {**group, "params": ours, "weight_decay": 0.0}
        )


def _join_groups(optimizer: Optimizer) -> None:
    """Undo ``_set_apart``, so that nobody else ever sees the groups."""
    whole = _WHOLE_GROUPS.pop(optimizer, [])
    if whole:
        del optimizer.param_groups[-len(whole) :]
    for group, parameters in reversed(whole):
        group["params"] = parameters

"""The schedule of the retention logits' centre, c(t) (Kubo et al., eq. 6).

Authors
 * The speechbrain-neuronprune authors 2026
"""

from typing import Any

import torch
from torch import Tensor, nn

from speechbrain_neuronprune.errors import TrainingError
from speechbrain_neuronprune.gates.stock import AbsentInStock

# What steering adds to a state dict, and what it is without steering.
STEERED = {"offset": 0.0, "steered_units": -1}


class RetentionSchedule(AbsentInStock):
    """c(t): where an untouched retention logit stands after t optimiser steps.

    It stays at ``c_start`` for ``hold`` steps, falls linearly to ``c_end``
    over ``steps`` steps and remains there. Without a hold this is eq. 6 of
    "Adaptive Dropout for Pruning Conformers" (arXiv 2412.04836). The hold is
    ours: in a short CTC run the decline must wait until the model has left
    the plateau where it emits only blanks.

    The number of steps taken is a buffer, so it is saved and restored with
    every model that holds the schedule. Somebody calls ``advance`` after every
    optimiser step, unless the schedule follows the optimiser by itself
    (``follow_optimizer``).

    Where a size is steered to (``steer_size``), the decline leads to ``c_end``
    plus an ``offset``, which follows the units. The offset and the number of
    units steered to (-1: none) are buffers too.

    Arguments
    ---------
    c_start : float
        Centre of the logits at the start (c_0).
    c_end : float
        Centre at the end (c_inf), also the pruning threshold.
    steps : int
        Optimiser steps of the decline (K).
    hold : int
        Optimiser steps before the decline.

    Example
    -------
    >>> schedule = RetentionSchedule(10.0, -2.0, steps=100)
    >>> schedule(0), schedule(50), schedule(1000)
    (10.0, 4.0, -2.0)
    >>> schedule.advance(50)
    >>> schedule.step, schedule.c()
    (50, 4.0)
    """

    def __init__(
        self,
        c_start: float = 10.0,
        c_end: float = -2.0,
        steps: int = 100_000,
        hold: int = 0,
    ) -> None:
        super().__init__()
        if steps < 1 or hold < 0 or steps % 1 or hold % 1:
            raise TrainingError(
                f"A retention schedule cannot have steps={steps} and "
                f"hold={hold}; give whole numbers, steps >= 1 and hold >= 0."
            )
        if not c_end <= c_start:
            raise TrainingError(
                f"A retention schedule cannot rise from c_start={c_start} to "
                f"c_end={c_end}; give c_end <= c_start."
            )
        self.c_start = float(c_start)
        self.c_end = float(c_end)
        self.steps = int(steps)
        self.hold = int(hold)
        self.follower: Any = None  # see follow_optimizer
        self.steering: Any = None  # see steer_size
        self.register_buffer("steps_taken", torch.zeros((), dtype=torch.long))
        self.register_buffer("offset", torch.zeros(()))
        self.register_buffer("steered_units", torch.tensor(-1))
        self._step, self._units = 0, -1  # what the buffers hold, on the host
        # c(t) as a tensor: reading it costs the gates no host
        # synchronisation and torch.compile no recompilation.
        self.register_buffer(
            "centre", torch.tensor(self.c_start), persistent=False
        )

    def forward(self, step: int | None = None) -> float:
        """c at a step.

        Arguments
        ---------
        step : int, optional
            Optimiser steps taken; by default the current number.

        Returns
        -------
        float
            The centre of the logits.
        """
        progress = self.progress(step)
        return self._unsteered(progress) + progress * float(self.offset)

    def c(self) -> float:
        """c at the current step.

        Returns
        -------
        float
            The centre of the logits.
        """
        return self.forward()

    def progress(self, step: int | None = None) -> float:
        """Which part of the decline is over at a step.

        Arguments
        ---------
        step : int, optional
            Optimiser steps taken; by default the current number.

        Returns
        -------
        float
            From 0 to 1.

        Example
        -------
        >>> RetentionSchedule(steps=100, hold=50).progress(75)
        0.25
        """
        step = self.step if step is None else step
        return min(max((step - self.hold) / self.steps, 0.0), 1.0)

    def _unsteered(self, progress: float) -> float:
        return progress * self.c_end + (1.0 - progress) * self.c_start

    @property
    def end(self) -> int:
        """The step at which the decline is over."""
        return self.hold + self.steps

    @property
    def ended(self) -> bool:
        """Whether the decline is over."""
        return self.step >= self.end

    @property
    def step(self) -> int:
        """Optimiser steps taken so far."""
        return self._step

    @step.setter
    def step(self, value: int) -> None:
        self._step = int(value)
        self.steps_taken.fill_(self._step)
        self._move_centre()

    @property
    def units(self) -> int:
        """How many units are steered to; -1 if nothing is steered."""
        return self._units

    def advance(self, steps: int = 1) -> None:
        """Count optimiser steps; call it once after each of them.

        Arguments
        ---------
        steps : int
            How many were taken.
        """
        self.step = self.step + steps
        if self.steering is not None:
            self.steering.look()

    def lead(self, offset: Tensor | float, units: int) -> None:
        """Let the decline end elsewhere.

        Arguments
        ---------
        offset : torch.Tensor or float
            How far from ``c_end``; a tensor need not leave its device.
        units : int
            For how many units.
        """
        self._units = int(units)
        self.steered_units.fill_(self._units)
        self.offset.fill_(offset)
        self._move_centre()

    def stop_steering(self) -> None:
        """Let the decline end at c_end again, for good."""
        self.steering = None
        self.lead(0.0, self.units)

    def _move_centre(self) -> None:
        progress = self.progress()
        moved = self.offset * progress + self._unsteered(progress)
        self.centre.copy_(moved)

    def _apply(self, *arguments: Any, **options: Any) -> nn.Module:
        """Move to a device; in a half precision, c(t) would be rounded to
        below c_end, and units that stay would go."""
        exact = {"centre": self.centre, "offset": self.offset}
        super()._apply(*arguments, **options)
        for name, value in exact.items():
            moved = getattr(self, name)
            if moved.dtype != value.dtype:
                setattr(self, name, value.to(moved.device))
        return self

    def _save_to_state_dict(
        self, destination: dict, prefix: str, keep_vars: bool
    ) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        # All gates hold this schedule. SpeechBrain averages checkpoints by
        # adding in place, so their entries must not share memory.
        for name in ("steps_taken", *STEERED):
            key = f"{prefix}{name}"
            destination[key] = destination[key].clone()

    def extra_repr(self) -> str:
        """The settings, for ``print(model)``."""
        return (
            f"c_start={self.c_start}, c_end={self.c_end}, "
            f"steps={self.steps}, hold={self.hold}"
        )

    def _load_from_state_dict(
        self, state_dict: dict, prefix: str, *others: Any
    ) -> None:
        if f"{prefix}steps_taken" in state_dict:
            for name, value in STEERED.items():  # checkpoints before steering
                state_dict.setdefault(f"{prefix}{name}", torch.tensor(value))
        super()._load_from_state_dict(state_dict, prefix, *others)
        self._units = int(self.steered_units)
        self.step = int(self.steps_taken)  # c(t) follows the restored step

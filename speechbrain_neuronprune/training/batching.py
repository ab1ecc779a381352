"""Batches of the shortest utterances first, then of all of them.

A CTC model starts on a plateau where it emits only blanks, and leaves it
sooner on short utterances, where few alignments compete.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import speechbrain as sb
from speechbrain.dataio.sampler import DynamicBatchSampler
from speechbrain.utils.checkpoints import (
    mark_as_loader,
    mark_as_saver,
    register_checkpoint_hooks,
)
from torch.utils.data import Sampler

from speechbrain_neuronprune.errors import DataError
from speechbrain_neuronprune.files import PathLike
from speechbrain_neuronprune.processes import process_count, process_number


@register_checkpoint_hooks
class ShortFirstSampler(Sampler):
    """A batch sampler that begins with the shortest utterances.

    Batches are those of SpeechBrain's ``DynamicBatchSampler``. Those of the
    first ``short_steps`` hold only the shortest utterances. Which batches
    come at which step follows from the seed alone, so a resumed epoch goes
    on exactly where it stopped; call ``set_epoch`` (counted from 1, as
    ``Brain.fit`` does) at the start of every epoch. A checkpoint keeps how
    long an epoch is: where it has another length when it is resumed, as in
    another number of processes, it goes on after the same share.

    A step is one of the optimiser. It takes a batch of every process and,
    where gradients are accumulated, several; in two processes it takes those
    that it takes in one with two batches accumulated. So give it to a data
    loader as it is: no wrapper has to divide its batches between processes.

    Arguments
    ---------
    durations : sequence of float
        Duration of every utterance, in the order of the dataset.
    max_batch_length : float
        Upper limit of the summed durations of a batch.
    short_steps : int
        How many steps hear only the shortest utterances.
    short_fraction : float
        Which share of the utterances counts as the shortest.
    epoch_steps : int, optional
        Steps per epoch; by default as many as all utterances are enough for.
    seed : int
        Seed of the shuffling.
    accumulated : int
        How many batches of a process make a step.
    process : int, optional
        Number of the process whose batches are meant; by default this one.
    processes : int, optional
        How many there are; by default those that run.

    **batching : dict
        Further options of ``DynamicBatchSampler``.

    Raises
    ------
    DataError
        If there are no utterances, or too few for one step.

    Example
    -------
    >>> sampler = ShortFirstSampler(
    ...     [1.0, 5.0, 1.0, 5.0],
    ...     max_batch_length=10,
    ...     short_steps=2,
    ...     short_fraction=0.5,
    ...     epoch_steps=5,
    ...     num_buckets=2,
    ... )
    >>> batches = list(sampler)
    >>> [sorted(batch) for batch in batches[:2]]
    [[0, 2], [0, 2]]
    >>> sorted(itertools.chain(*batches[2:]))
    [0, 1, 2, 3]
    """

    def __init__(
        self,
        durations: Sequence[float],
        max_batch_length: float,
        short_steps: int = 0,
        short_fraction: float = 0.3,
        epoch_steps: int | None = None,
        seed: int = 0,
        accumulated: int = 1,
        process: int | None = None,
        processes: int | None = None,
        **batching: Any,
    ) -> None:
        if not durations:
            raise DataError(
                "There are no utterances to train on; give a training split "
                "with at least one."
            )
        shortest = sorted(range(len(durations)), key=durations.__getitem__)
        shortest = shortest[: math.ceil(short_fraction * len(durations))]
        options = {"max_batch_length": max_batch_length, "seed": seed}
        options |= batching
        self.short_steps = short_steps
        self.short = _Passes(shortest or [0], durations, **options)
        self.all = _Passes(range(len(durations)), durations, **options)
        self.accumulated = accumulated
        self.process = process_number() if process is None else process
        self.processes = process_count() if processes is None else processes
        self.epoch_steps = epoch_steps or self._steps_of_a_pass()
        self.epoch = 1
        self.done = 0
        self.interrupted_length = len(self)

    def _steps_of_a_pass(self) -> int:
        steps = len(self.all) // self.step_batches
        if not steps:
            raise DataError(
                f"An epoch has {len(self.all)} batches, too few for a step "
                f"with grad_accumulation_factor={self.accumulated} in "
                f"{self.processes} process(es); lower max_batch_length, or "
                "one of these numbers."
            )
        return steps

    @property
    def step_batches(self) -> int:
        """How many batches a step takes, those of all processes together."""
        return self.accumulated * self.processes

    def set_epoch(self, epoch: int) -> None:
        """Choose which epoch the next iteration yields.

        Arguments
        ---------
        epoch : int
            Counted from 1.
        """
        self.epoch = epoch

    def go_on(self, batches: int) -> int:
        """Leave out the beginning of the next iteration.

        Arguments
        ---------
        batches : int
            How many a process had taken of the epoch that was interrupted.

        Returns
        -------
        int
            How many batches of this process are left out.
        """
        steps = batches * self.epoch_steps // self.interrupted_length
        self.done = min(steps, self.epoch_steps)
        return self.done * self.accumulated

    @mark_as_saver
    def _save(self, path: PathLike) -> None:
        Path(path).write_text(str(len(self)), encoding="utf-8")

    @mark_as_loader
    def _load(self, path: PathLike, end_of_epoch: bool) -> None:
        content = Path(path).read_text(encoding="utf-8")
        self.interrupted_length = int(content)

    def __len__(self) -> int:
        return self.epoch_steps * self.accumulated

    def __iter__(self) -> Iterator[list[int]]:
        first = (self.epoch - 1) * self.epoch_steps
        steps = range(first + self.done, first + self.epoch_steps)
        self.done = 0
        for step, turn in itertools.product(steps, range(self.accumulated)):
            yield self._batch(step, turn * self.processes + self.process)

    def _batch(self, step: int, place: int) -> list[int]:
        """One of the batches of a step, counted over all processes."""
        if step < self.short_steps:
            return self.short[step * self.step_batches + place]
        step -= self.short_steps
        return self.all[step * self.step_batches + place]


def keep_length(brain: sb.Brain) -> None:
    """Let the checkpoints of a Brain keep how long its epochs are.

    Arguments
    ---------
    brain : Brain
        Not recovered yet.
    """
    sampler = brain.train_sampler
    if isinstance(sampler, ShortFirstSampler) and brain.checkpointer:
        brain.checkpointer.add_recoverable(
            "sampler",
            sampler,
            optional_load=True,  # older checkpoints have none
        )


def go_on(brain: sb.Brain) -> None:
    """Let the epoch that a checkpoint interrupted go on with its next step.

    Arguments
    ---------
    brain : Brain
        Recovered; if its ``train_sampler`` is a ``ShortFirstSampler``, it is
        told where to begin.
    """
    sampler = brain.train_sampler
    if brain.step and isinstance(sampler, ShortFirstSampler):
        brain.step = sampler.go_on(brain.step)


class _Passes:
    """The endless sequence of batches of some utterances, pass after pass."""

    def __init__(
        self,
        utterances: Sequence[int],
        durations: Sequence[float],
        **options: Any,
    ) -> None:
        self.utterances = utterances
        self.sampler = DynamicBatchSampler(
            utterances,
            lengths_list=[durations[index] for index in utterances],
            **options,
        )
        self.current = None
        self.batches: list[list[int]] = []

    def __len__(self) -> int:
        """Batches in a pass: the same in each, as buckets do not change."""
        return len(self.sampler)

    def __getitem__(self, step: int) -> list[int]:
        number, position = divmod(step, len(self))
        if number != self.current:
            self.sampler.set_epoch(number)
            # One batch too many would make the sampler shuffle once more.
            self.batches = list(itertools.islice(self.sampler, len(self)))
            self.current = number
        return [self.utterances[index] for index in self.batches[position]]

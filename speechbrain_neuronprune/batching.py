"""Batches of the shortest utterances first, then of all of them.

A CTC model starts on a plateau where it emits only blanks, and leaves it
sooner on short utterances, where few alignments compete.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

from speechbrain.dataio.sampler import DynamicBatchSampler
from torch.utils.data import Sampler

from speechbrain_neuronprune.errors import DataError


class ShortFirstSampler(Sampler):
    """A batch sampler that begins with the shortest utterances.

    Batches are those of SpeechBrain's ``DynamicBatchSampler``. The first
    ``short_steps`` of them hold only the shortest utterances. Which batch
    comes at which step follows from the seed alone, so a resumed epoch goes
    on exactly where it stopped; call ``set_epoch`` (counted from 1, as
    ``Brain.fit`` does) at the start of every epoch.

    Arguments
    ---------
    durations : sequence of float
        Duration of every utterance, in the order of the dataset.
    max_batch_length : float
        Upper limit of the summed durations of a batch.
    short_steps : int
        How many batches hold only the shortest utterances.
    short_fraction : float
        Which share of the utterances counts as the shortest.
    epoch_steps : int, optional
        Batches per epoch; by default as many as cover every utterance once.
    seed : int
        Seed of the shuffling.
    **batching : dict
        Further options of ``DynamicBatchSampler``.

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
        self.epoch_steps = epoch_steps or len(self.all)
        self.epoch = 1

    def set_epoch(self, epoch: int) -> None:
        """Choose which epoch the next iteration yields."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.epoch_steps

    def __iter__(self) -> Iterator[list[int]]:
        first = (self.epoch - 1) * self.epoch_steps
        for step in range(first, first + self.epoch_steps):
            if step < self.short_steps:
                yield self.short[step]
            else:
                yield self.all[step - self.short_steps]


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

"""The batch sampler: short utterances first, deterministic, resumable.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import itertools

import pytest

from speechbrain_neuronprune.batching import ShortFirstSampler
from speechbrain_neuronprune.errors import DataError

DURATIONS = [1.0 + (7 * i % 20) / 4 for i in range(40)]


def make_sampler(**changes):
    options = {
        "max_batch_length": 12.0,
        "num_buckets": 3,
        "short_steps": 5,
        "short_fraction": 0.25,
        "epoch_steps": 4,
        "seed": 3,
    }
    return ShortFirstSampler(DURATIONS, **{**options, **changes})


def epochs(sampler, *numbers):
    batches = []
    for number in numbers:
        sampler.set_epoch(number)
        batches += list(sampler)
    return batches


def test_first_batches_hold_only_the_shortest_quarter():
    limit = sorted(DURATIONS)[9]
    batches = epochs(make_sampler(), 1, 2, 3)
    short = set(itertools.chain(*batches[:5]))
    assert max(DURATIONS[i] for i in short) <= limit
    later = set(itertools.chain(*batches[5:]))
    assert max(DURATIONS[i] for i in later) == max(DURATIONS)


def test_a_pass_covers_every_utterance_once():
    sampler = make_sampler(short_steps=0, epoch_steps=None)
    assert len(sampler) == len(sampler.all)
    for epoch in (1, 2):
        [*batches] = epochs(sampler, epoch)
        assert sorted(itertools.chain(*batches)) == list(range(40))


def test_passes_are_shuffled_anew():
    sampler = make_sampler(short_steps=0, epoch_steps=None)
    assert epochs(sampler, 1) != epochs(sampler, 2)


def test_an_epoch_depends_on_its_number_and_the_seed_alone():
    run_through = epochs(make_sampler(), 1, 2, 3, 4)
    assert epochs(make_sampler(), 4) == run_through[-4:]
    assert epochs(make_sampler(seed=4), 1, 2, 3, 4) != run_through


def test_batches_respect_the_limits():
    for batch in epochs(make_sampler(max_batch_ex=3), 1, 2, 3, 4, 5):
        assert len(batch) <= 3
        assert sum(DURATIONS[i] for i in batch) <= 12.0


def test_no_utterances_is_an_error():
    with pytest.raises(DataError, match="no utterances to train on"):
        ShortFirstSampler([], max_batch_length=1.0, num_buckets=1)

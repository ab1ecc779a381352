"""The batch sampler: short utterances first, deterministic, resumable.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import itertools

import pytest
from speechbrain.utils.checkpoints import Checkpointer

from speechbrain_neuronprune.errors import DataError
from speechbrain_neuronprune.training.batching import ShortFirstSampler

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


def test_several_processes_hear_what_one_accumulates():
    alone = epochs(make_sampler(accumulated=6), 1, 2)
    options = {"accumulated": 3, "processes": 2}
    shares = [
        epochs(make_sampler(process=number, **options), 1, 2)
        for number in range(2)
    ]
    in_turns = itertools.chain(*zip(*shares, strict=True))
    assert list(in_turns) == alone


def test_an_epoch_covers_the_utterances_in_several_processes():
    whole = make_sampler(short_steps=0, epoch_steps=None)
    shared = make_sampler(short_steps=0, epoch_steps=None, processes=3)
    assert shared.epoch_steps == len(whole) // 3 == len(shared)


def test_too_few_batches_for_a_step():
    with pytest.raises(DataError, match="_factor=4 in 9 process"):
        make_sampler(epoch_steps=None, accumulated=4, processes=9)


@pytest.mark.parametrize(
    "taken, left_out", [(0, 0), (1, 0), (2, 1), (7, 3), (8, 4), (9, 4)]
)
def test_an_interrupted_epoch_goes_on(taken, left_out):
    whole = epochs(make_sampler(accumulated=2), 2)
    sampler = make_sampler(accumulated=2)
    assert sampler.go_on(taken) == 2 * left_out
    assert epochs(sampler, 2) == whole[2 * left_out :]
    assert epochs(sampler, 2) == whole


def test_an_epoch_of_another_length_goes_on_after_the_same_share(tmp_path):
    options = {"short_steps": 0, "epoch_steps": None}
    alone, share = make_sampler(**options), make_sampler(**options, processes=3)
    assert (len(alone), len(share)) == (28, 9)
    Checkpointer(tmp_path, {"sampler": alone}).save_checkpoint()
    Checkpointer(tmp_path, {"sampler": share}).recover_if_possible()
    assert share.go_on(21) == 6  # three quarters, in whole steps
    again = make_sampler(**options, accumulated=2, processes=3)
    Checkpointer(tmp_path, {"sampler": again}).recover_if_possible()
    assert again.go_on(21) == 6  # of eight batches, which make four steps


def test_no_utterances_is_an_error():
    with pytest.raises(DataError, match="no utterances to train on"):
        ShortFirstSampler([], max_batch_length=1.0, num_buckets=1)

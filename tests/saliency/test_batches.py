"""Batches: what may come, and which frames are speech.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import math
from unittest import mock

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from speechbrain_neuronprune.errors import SaliencyError
from speechbrain_neuronprune.saliency import batches
from speechbrain_neuronprune.saliency.batches import (
    Batch,
    find_speech,
    read_batches,
)


def test_tensors_and_pairs_are_batches():
    x = torch.randn(2, 7, 3)
    lengths = torch.tensor([1.0, 0.5])
    plain, pair, listed = read_batches([x, (x, lengths), [x, lengths]])
    assert plain.lengths is None and torch.equal(plain.x, x)
    assert torch.equal(pair.lengths, lengths)
    assert torch.equal(listed.lengths, lengths)
    assert [plain.index, pair.index, listed.index] == [0, 1, 2]


def test_what_made_a_batch_is_not_differentiated():
    x = torch.randn(2, 7, 3, requires_grad=True)
    [batch] = read_batches([x])
    assert not batch.x.requires_grad


@pytest.mark.parametrize(
    "batch, kind",
    [
        ({"sig": torch.zeros(2, 3)}, "dict"),
        ((torch.zeros(2, 3),), "tuple"),
        ([torch.zeros(2, 3), [1.0, 1.0]], "list"),
        ("speech.wav", "str"),
        (None, "NoneType"),
    ],
)
def test_other_batches_are_refused_by_number(batch, kind):
    good = torch.zeros(2, 3)
    with pytest.raises(SaliencyError, match=f"Batch 1 is a {kind}; batches"):
        list(read_batches([good, batch]))


@pytest.mark.parametrize(
    "lengths",
    [
        [1.0, 0.0],
        [1.0, -0.1],
        [1.0, 1.5],
        [1.0, math.nan],
        [7, 3],  # labels, or absolute lengths
        [1.0],
        [[1.0, 1.0]],
    ],
)
def test_lengths_outside_of_their_range_are_refused(lengths):
    batch = (torch.zeros(2, 7, 3), torch.tensor(lengths))
    with pytest.raises(SaliencyError) as error:
        list(read_batches([batch]))
    assert "The lengths of batch 0 are [" in str(error.value)
    assert "relative length in (0, 1] per utterance" in str(error.value)


@given(
    counts=st.lists(st.integers(1, 30), min_size=1, max_size=5),
    stride=st.integers(1, 40),
    at_once=st.integers(1, 200),
    time_first=st.booleans(),
)
def test_speech_is_found_one_utterance_after_another(
    counts, stride, at_once, time_first
):
    longest = max(counts)
    frames = [(u, t) for u, n in enumerate(counts) for t in range(n)]
    grid = torch.arange(len(counts) * longest).view(len(counts), longest)
    lengths = torch.tensor([count / longest for count in counts])
    layer = grid.T if time_first else grid
    with mock.patch.object(batches, "FRAMES_AT_ONCE", at_once):
        parts = find_speech(lengths, tuple(layer.shape), time_first)
    picked, taken, utterances = [], [], 0
    for part in parts:
        table, chosen = part.rows_of(layer.unsqueeze(-1))
        rows = table[chosen].flatten().tolist()
        # A frame's number as its weight leads to the frame.
        block = part.block(layer + 1).flatten()
        spread = part.spread(torch.tensor(rows) + 1)
        assert torch.equal(spread[spread > 0], block[spread > 0])
        assert spread.count_nonzero() == len(rows)
        places = (part.utterances + utterances).tolist()
        found = list(zip(places, part.times.tolist(), strict=True))
        assert rows == [grid[place].item() for place in found]
        assert len(part) == len(found)
        assert part.shape[0] == 1 or part.shape[0] * longest <= at_once
        picked += found
        taken += [found[place] for place in part.every(stride).tolist()]
        utterances += part.shape[0]
    assert picked == frames
    firsts = [(min(count, stride) - 1) // 2 for count in counts]
    assert taken == [
        (u, t)
        for u, (first, count) in enumerate(zip(firsts, counts, strict=True))
        for t in range(first, count, stride)
    ]


def test_where_no_speech_is_there_is_none():
    lengths = torch.tensor([0.1, 0.1])
    assert find_speech(lengths, (2, 3)) == []
    assert find_speech(None, (2, 0)) == []
    assert find_speech(None, (0, 3)) == []


def test_layers_of_one_shape_share_the_answer():
    batch = Batch(0, torch.zeros(2, 7, 3), torch.tensor([1.0, 0.5]))
    [shared] = batch.speech((2, 7))
    assert batch.speech((2, 7))[0] is shared
    assert len(shared) == 7 + 4
    # Half of seven frames and of three, rounded to even.
    [coarse] = batch.speech((2, 3))
    assert len(coarse) == 3 + 2
    [turned] = batch.speech((7, 2), True)
    assert turned is not shared
    assert turned.times.tolist() == shared.times.tolist()


def test_samples_are_cut_like_frames():
    """SpeechBrain's RNNs rely on a longest length of one."""
    x = torch.arange(12.0).view(2, 6)
    batch = Batch(0, x, torch.tensor([1.0, 0.5]))
    _, others = batch.split(2)
    assert others.x.tolist() == [[6.0, 7.0, 8.0]]
    assert others.lengths.tolist() == [1.0]


def test_features_without_time_are_not_cut():
    batch = Batch(0, torch.ones(2, 6), torch.ones(2))
    assert [part.x.shape for part in batch.split(2)] == [(1, 6), (1, 6)]

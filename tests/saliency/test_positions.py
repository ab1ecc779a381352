"""Positions: where the speech is in a layer's tensors.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from unittest import mock

import torch
from hypothesis import given
from hypothesis import strategies as st

from speechbrain_neuronprune.saliency import positions
from speechbrain_neuronprune.saliency.positions import find_speech


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
    with mock.patch.object(positions, "FRAMES_AT_ONCE", at_once):
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

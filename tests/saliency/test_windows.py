"""Windows: sums around every frame, whatever the window and the batch.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from speechbrain_neuronprune.saliency.positions import find_speech
from speechbrain_neuronprune.saliency.windows import (
    running_sums,
    window_sums,
    windows_around,
)


def looped(utterance, window):
    """Mitra and Franco for even windows; odd ones reach as far to both
    sides."""
    back = window // 2 - 1 if window % 2 == 0 else window // 2
    return [
        sum(
            utterance[t + k]
            for k in range(-back, window // 2 + 1)
            if 0 <= t + k < len(utterance)
        )
        for t in range(len(utterance))
    ]


def around_all(x, positions, window):
    """The sums around the frames alone."""
    sums, frames = window_sums(x, torch.arange(len(x)), positions, window)
    return sums[frames]


@given(
    counts=st.lists(st.integers(1, 20), min_size=1, max_size=4),
    window=st.integers(1, 45),
)
def test_window_sums_equal_a_loop(counts, window):
    """All numbers are whole, so nothing is rounded."""
    longest = max(counts)
    lengths = torch.tensor([count / longest for count in counts])
    [positions] = find_speech(lengths, (len(counts), longest))
    x = torch.arange(1.0, 1 + sum(counts)).square()
    sums = around_all(x.unsqueeze(1), positions, window).flatten()
    wanted = [looped(one.tolist(), window) for one in x.split(counts)]
    assert sums.tolist() == sum(wanted, [])


@given(
    counts=st.lists(st.integers(1, 20), min_size=1, max_size=4),
    window=st.integers(1, 45),
    stride=st.integers(1, 9),
)
def test_windows_around_some_frames_are_those_of_all(counts, window, stride):
    longest = max(counts)
    lengths = torch.tensor([count / longest for count in counts])
    [positions] = find_speech(lengths, (len(counts), longest))
    at = positions.every(stride)
    x = torch.arange(1.0, 1 + sum(counts)).square()
    frames, sizes = windows_around(positions, window, at)
    sums = torch.stack([one.sum() for one in x[frames].split(sizes.tolist())])
    whole = around_all(x.unsqueeze(1), positions, window).flatten()
    assert sums.tolist() == whole[at].tolist()


@given(rows=st.integers(1, 40), length=st.integers(1, 40))
def test_running_sums_equal_a_loop(rows, length):
    x = torch.arange(1.0, 1 + rows).square()
    sums = running_sums(x.unsqueeze(1), length).flatten().tolist()
    whole = range(rows - length + 1)
    assert sums == [x[t : t + length].sum().item() for t in whole]


def test_no_digits_are_lost_behind_loud_frames():
    """A cumulative sum in float32 would not see the quiet ones."""
    x = torch.full((400, 1), 1e-3)
    x[:100] = 1e6
    sums = around_all(x, *find_speech(None, (1, 400)), 16)
    assert sums[107:391].flatten().tolist() == pytest.approx([0.016] * 284)


@pytest.mark.parametrize("shape", [(6,), (2, 3)])
def test_utterances_are_not_spaced_for_more_than_they_have(shape):
    """There is no memory for as many zeros as this window has frames."""
    x = torch.ones(6, 3)
    sums = around_all(x, *find_speech(None, shape), 10**15)
    assert (sums == (1 if shape == (6,) else 3)).all()

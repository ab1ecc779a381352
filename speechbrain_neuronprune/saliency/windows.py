"""Sums over a time window around every frame.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from typing import NamedTuple

import torch
from torch import Tensor

from speechbrain_neuronprune.saliency.positions import Positions
from speechbrain_neuronprune.saliency.rounding import at_least_float32


class Gaps(NamedTuple):
    """A sequence of the frames with gaps, so that no window around a frame
    of one utterance reaches another.

    Arguments
    ---------
    frames : torch.Tensor
        Which frame is where; any in the gaps.
    gaps : torch.Tensor
        Where there is none.
    starts : torch.Tensor
        Where the window of every frame starts.
    length : int
        Of a window.
    """

    frames: Tensor
    gaps: Tensor
    starts: Tensor
    length: int


def with_gaps(positions: Positions, window: int) -> Gaps:
    """Lay out frames for windows, see ``window_sums``.

    Arguments
    ---------
    positions : Positions
        Where the frames are.
    window : int
        Frames in the time window; it is clipped to the longest utterance.

    Returns
    -------
    Gaps
        The frames of all utterances in one sequence.

    Example
    -------
    >>> from speechbrain_neuronprune.saliency.positions import find_speech
    >>> [two_utterances] = find_speech(None, (2, 2))
    >>> with_gaps(two_utterances, 2)[:3]
    (tensor([0, 1, 0, 2, 3, 0]), tensor([2, 5]), tensor([0, 1, 3, 4]))
    """
    utterances, longest = positions.shape
    most = longest - 1
    before, after = min((window - 1) // 2, most), min(window // 2, most)
    numbers = torch.arange(len(positions), device=positions.times.device)
    starts = numbers + after * positions.utterances
    size = before + len(positions) + after * utterances
    frames = numbers.new_full((size,), -1)
    frames[before + starts] = numbers
    gaps = (frames < 0).nonzero().squeeze(1)
    return Gaps(frames.clamp(min=0), gaps, starts, before + 1 + after)


def window_sums(
    table: Tensor, rows: Tensor, positions: Positions, window: int
) -> tuple[Tensor, Tensor]:
    """Sums over a time window around every frame, clipped at both ends.

    The window of q frames reaches from t - (q/2 - 1) to t + q/2 (Mitra and
    Franco, sec. 4); for odd q from t - (q-1)/2 to t + (q-1)/2.

    Arguments
    ---------
    table : torch.Tensor
        (rows, features).
    rows : torch.Tensor
        Which of them are the frames, (frames,).
    positions : Positions
        Of these frames.
    window : int
        Frames in the window, q.

    Returns
    -------
    sums : torch.Tensor
        In at least float32; of the gaps too, to leave these out costs more.
    starts : torch.Tensor
        Which of the sums are around the frames, (frames,).

    Example
    -------
    >>> from speechbrain_neuronprune.saliency.positions import find_speech
    >>> x = torch.tensor([[1.0], [10.0], [100.0], [1000.0]])
    >>> [one_utterance] = find_speech(None, (1, 4))
    >>> sums, starts = window_sums(x, torch.arange(4), one_utterance, 2)
    >>> sums[starts].flatten()
    tensor([  11.,  110., 1100., 1000.])
    >>> [two] = find_speech(None, (2, 2))
    >>> sums, starts = window_sums(x, torch.arange(4), two, 2)
    >>> sums[starts].flatten()
    tensor([  11.,   10., 1100., 1000.])
    """
    frames, gaps, starts, length = positions.once(
        ("gaps", window), lambda: with_gaps(positions, window)
    )
    spaced = at_least_float32(table.index_select(0, rows[frames]))
    return running_sums(spaced.index_fill_(0, gaps, 0.0), length), starts


def windows_around(
    positions: Positions, window: int, at: Tensor
) -> tuple[Tensor, Tensor]:
    """Which frames are in the windows of some frames only.

    Where few windows overlap, adding up each by itself is cheaper than sums
    around every frame.

    Arguments
    ---------
    positions : Positions
        Of all frames.
    window : int
        Frames in the time window, q.
    at : torch.Tensor
        Around which of the frames.

    Returns
    -------
    frames : torch.Tensor
        The frames of one window after those of another.
    sizes : torch.Tensor
        How many frames each window has.

    Example
    -------
    >>> from speechbrain_neuronprune.saliency.positions import find_speech
    >>> [two_utterances] = find_speech(None, (2, 5))
    >>> windows_around(two_utterances, 4, torch.tensor([2, 4, 5]))
    (tensor([1, 2, 3, 4, 3, 4, 5, 6, 7]), tensor([4, 2, 3]))
    """
    times, lengths = positions.times[at], positions.lengths[at]
    before = times.clamp(max=(window - 1) // 2)
    after = (lengths - 1 - times).clamp(max=window // 2)
    sizes = before + 1 + after
    starts = sizes.cumsum(0) - sizes
    first = (at - before - starts).repeat_interleave(sizes)
    return first + torch.arange(len(first), device=at.device), sizes


def running_sums(x: Tensor, length: int) -> Tensor:
    """Sums of so many rows one after another, each made of two halves.

    A row costs log2(length) additions, and unlike with differences of
    cumulative sums no digits are lost.

    Arguments
    ---------
    x : torch.Tensor
        (rows, columns).
    length : int
        How many rows are added up, at least 1.

    Returns
    -------
    torch.Tensor
        (rows - length + 1, columns).

    Example
    -------
    >>> running_sums(torch.tensor([[1.0], [10.0], [100.0]]), 2).flatten()
    tensor([ 11., 110.])
    """
    if length == 1:
        return x
    half = length // 2
    sums = running_sums(x, half)
    sums = sums[:-half] + sums[half:]
    return sums if length % 2 == 0 else sums[:-1] + x[length - 1 :]

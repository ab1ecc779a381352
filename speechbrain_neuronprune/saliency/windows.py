"""Sums over a time window around every frame.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import torch
from torch import Tensor

from speechbrain_neuronprune.saliency.batches import Positions


def window_sums(x: Tensor, positions: Positions, window: int) -> Tensor:
    """Sums over a time window around every frame, clipped at both ends.

    The window of q frames reaches from t - (q/2 - 1) to t + q/2 (paper B,
    sec. 4); for odd q from t - (q-1)/2 to t + (q-1)/2.

    Arguments
    ---------
    x : torch.Tensor
        (frames, features).
    positions : Positions
        Of these frames.
    window : int
        Frames in the window, q.

    Returns
    -------
    torch.Tensor
        As ``x``.

    Example
    -------
    >>> from speechbrain_neuronprune.saliency.batches import find_speech
    >>> x = torch.tensor([[1.0], [10.0], [100.0], [1000.0]])
    >>> [one_utterance] = find_speech(None, (1, 4))
    >>> window_sums(x, one_utterance, 2).flatten()
    tensor([  11.,  110., 1100., 1000.])
    >>> [two] = find_speech(None, (2, 2))
    >>> window_sums(x, two, 2).flatten()
    tensor([  11.,   10., 1100., 1000.])
    """
    utterances, longest = positions.shape
    most = longest - 1
    before, after = min((window - 1) // 2, most), min(window // 2, most)
    # With zeros behind each of them no window reaches the next utterance.
    places = torch.arange(len(x), device=x.device)
    places += after * positions.utterances
    size = before + len(x) + after * utterances
    spaced = x.new_zeros(size, x.shape[1]).index_copy_(0, before + places, x)
    return running_sums(spaced, before + 1 + after).index_select(0, places)


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
    >>> from speechbrain_neuronprune.saliency.batches import find_speech
    >>> [two_utterances] = find_speech(None, (2, 5))
    >>> windows_around(two_utterances, 4, torch.tensor([2, 4, 5]))
    (tensor([1, 2, 3, 4, 3, 4, 5, 6, 7]), tensor([4, 2, 3]))
    """
    times, utterances = positions.times[at], positions.utterances[at]
    lengths = positions.utterances.bincount()[utterances]
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

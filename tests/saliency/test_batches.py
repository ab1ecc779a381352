"""Batches: what may come, and what is shared and cut.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import math

import pytest
import torch

from speechbrain_neuronprune.errors import SaliencyError
from speechbrain_neuronprune.saliency.batches import Batch, read_batches


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

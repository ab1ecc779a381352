"""Passages: which layouts are speech, and which cannot be.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import pytest
import torch
from torch import nn

from speechbrain_neuronprune.errors import SaliencyError
from speechbrain_neuronprune.saliency.batches import Batch
from speechbrain_neuronprune.saliency.passage import Passage
from speechbrain_neuronprune.saliency.taps import Tap


def make_passage(shape, time_first=False):
    """A batch of two utterances, the second of half the length."""
    tap = Tap("fc", nn.Linear(3, 2), nn.Linear(2, 3), time_first)
    batch = Batch(6, torch.zeros(2, 9, 3), torch.tensor([1.0, 0.5]))
    units = torch.zeros(shape)
    return Passage(tap, batch, units, units)


@pytest.mark.parametrize(
    "shape, time_first, rows",
    [
        ((2, 4, 3), False, [0, 1, 2, 3, 4, 5]),
        ((4, 2, 3), True, [0, 2, 4, 6, 1, 3]),
        ((2, 3), False, [0, 1]),
    ],
)
def test_speech_is_found_in_every_layout(shape, time_first, rows):
    passage = make_passage(shape, time_first)
    [positions] = passage.speech()
    table, found = positions.rows_of(passage.units)
    assert table.data_ptr() == passage.units.data_ptr()
    assert found.tolist() == rows


def test_a_turned_view_is_not_copied():
    """As SpeechBrain's feed-forward modules turn their inputs."""
    inputs = torch.randn(2, 4, 3)
    passage = make_passage((4, 2, 3), time_first=True)
    [positions] = passage.speech()
    table, rows = positions.rows_of(inputs.transpose(0, 1))
    assert table.data_ptr() == inputs.data_ptr()
    speech = torch.cat([inputs[0], inputs[1, :2]])
    assert torch.equal(table[rows], speech)


@pytest.mark.parametrize("time_first", [True, False])
@pytest.mark.parametrize("shape", [(3, 4, 3), (2, 4, 5, 2), (8, 2), (2,)])
def test_other_layouts_are_refused(shape, time_first):
    with pytest.raises(SaliencyError) as error:
        make_passage(shape, time_first).speech()
    assert f"Group fc sees a tensor of shape {shape}" in str(error.value)
    assert "a batch of 2 utterances" in str(error.value)

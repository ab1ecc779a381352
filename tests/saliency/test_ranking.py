"""The public functions: shapes, order, and what is refused.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import pytest
import torch

from speechbrain_neuronprune import PruningPlan, apply_masks
from speechbrain_neuronprune.errors import SaliencyError, UnitsError
from speechbrain_neuronprune.saliency import (
    CRITERIA,
    measure_saliency,
    rank_neurons,
)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_one_saliency_per_unit_in_forward_order(
    make_stack, draw_speech, criterion
):
    stack = make_stack(5, 7, 6, 4).float()
    speech = [one.unsqueeze(0).float() for one in draw_speech([9, 30])]
    scores = rank_neurons(stack, speech, criterion)
    assert list(scores) == ["0", "2"]
    for name, size in (("0", 7), ("2", 6)):
        assert scores[name].shape == (size,)
        assert scores[name].dtype == torch.float32
        assert scores[name].device.type == "cpu"
        assert not scores[name].requires_grad
        assert torch.isfinite(scores[name]).all()
        assert (scores[name] >= 0).all()


def test_targets_choose_groups(make_stack, draw_speech):
    stack = make_stack(5, 7, 6, 4)
    whole = rank_neurons(stack, draw_speech([9]), "mi")
    part = rank_neurons(stack, draw_speech([9]), "mi", "2")
    assert list(part) == ["2"]
    assert torch.equal(part["2"], whole["2"])


def test_masked_units_are_silent(make_stack, draw_speech):
    """Activations are read behind everything that multiplies them."""
    stack = make_stack(5, 7, 4, activation=torch.nn.Tanh)
    keep = torch.arange(7) != 3
    apply_masks(stack, PruningPlan({"0": keep}))
    scores = rank_neurons(stack, draw_speech([9]), "activation")["0"]
    assert torch.equal(scores > 0, keep)


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("constant", [0.0, 1.0])
def test_constant_speech_gives_finite_scores(make_stack, criterion, constant):
    stack = make_stack(5, 7, 4)
    speech = [torch.full((2, 9, 5), constant, dtype=torch.float64)]
    scores = rank_neurons(stack, speech, criterion)["0"]
    assert torch.isfinite(scores).all()
    if criterion == "mi_lagged":
        assert (scores == 0).all()


def test_an_unknown_criterion_lists_the_known_ones(make_stack):
    with pytest.raises(SaliencyError) as error:
        rank_neurons(make_stack(5, 7, 4), [], "mutual information")
    assert "no criterion 'mutual information'" in str(error.value)
    assert all(repr(name) in str(error.value) for name in CRITERIA)


@pytest.mark.parametrize("window", [0, -3])
def test_an_empty_window_is_refused(make_stack, window):
    with pytest.raises(SaliencyError, match=f"window of {window} frames is"):
        rank_neurons(make_stack(5, 7, 4), [], "mi", window=window)


@pytest.mark.parametrize("stride", [0, -3])
def test_a_stride_that_takes_no_frame_is_refused(make_stack, stride):
    with pytest.raises(SaliencyError, match=f"Every {stride}-th frame is none"):
        rank_neurons(make_stack(5, 7, 4), [], "mi_lagged", frame_stride=stride)


@pytest.mark.parametrize("damping", [0.0, -1.0, float("nan")])
def test_no_damping_is_refused(make_stack, damping):
    with pytest.raises(SaliencyError, match=f"damping of {damping} leaves"):
        rank_neurons(make_stack(5, 7, 4), [], "obs", damping=damping)


def test_units_that_are_not_fully_connected_are_refused(make_encoder):
    with pytest.raises(UnitsError, match="of kind value"):
        rank_neurons(make_encoder(), [], "mbp", ["ffn", "value"])


def test_a_criterion_can_be_given_as_the_only_one(make_stack):
    stack = make_stack(5, 7, 4)
    assert list(measure_saliency(stack, [], "mbp")) == ["mbp"]
    assert measure_saliency(stack, [], []) == {}

"""Brains that are led to a size.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import pytest
import torch

from speechbrain_neuronprune import PruningPlan, adaptive_dropouts, compact
from speechbrain_neuronprune.errors import PlanError, TrainingError
from speechbrain_neuronprune.units import count_parameters
from tests.toy_brain import BATCHES, fit


def share_left(brain):
    """The paper's rule; the hyperparameters have no threshold."""
    small = compact(brain.pruned, PruningPlan.from_retention(brain.pruned))
    return count_parameters(small) / count_parameters(brain.pruned)


def test_a_steered_brain_ends_at_its_size_by_the_papers_rule(make_brain):
    brain = make_brain(steer_size=True)
    fit(brain)
    assert share_left(brain) == pytest.approx(0.6, rel=0.02)
    paper = PruningPlan.from_retention(brain.pruned).keep
    for name, keep in brain.make_plan().keep.items():
        assert torch.equal(keep, paper[name])
    last = brain._retention_log.lines()[-1]
    wanted = round(0.6 * count_parameters(brain.pruned))
    assert last["steered_parameters"] == wanted
    assert last["c"] == pytest.approx(-2.0 + last["c_offset"])


def test_a_steered_brain_settles_at_its_size(make_brain):
    brain = make_brain(steer_size=True, settle_step=9)
    fit(brain)
    assert brain.final_phase
    assert all(g.settled for g in adaptive_dropouts(brain.pruned).values())
    assert share_left(brain) == pytest.approx(0.6, rel=0.02)
    longer = make_brain(steer_size=True, settle_step=9, epochs=3)
    fit(longer)
    assert longer.schedule.c() == -2.0
    assert share_left(longer) == share_left(brain)


def test_a_resumed_brain_leads_nothing_that_is_settled(make_brain):
    shares = []
    for epochs in (2, 3):
        brain = make_brain(steer_size=True, settle_step=9, epochs=epochs)
        brain.hparams.round_to = 4
        fit(brain)
        assert brain.schedule.offset == 0
        shares.append(share_left(brain))
    assert shares[0] == shares[1]


def test_a_steered_brain_resumes_where_it_was(make_brain):
    fit(make_brain(steer_size=True, epochs=1))
    resumed = make_brain(steer_size=True, epochs=1)
    fit(resumed)  # nothing left to do
    assert resumed.schedule.units > 0
    assert share_left(resumed) == pytest.approx(0.6, rel=0.02)


def test_an_average_of_steered_checkpoints_is_steered_too(make_brain):
    brain = make_brain(steer_size=True)
    fit(brain)
    gates = adaptive_dropouts(brain.pruned).values()
    for gate in gates:  # as far from what was counted as averages can be
        gate.logits.data.normal_()
    brain.schedule.steering = None  # as in a run that is opened
    brain.lead_average()
    assert share_left(brain) == pytest.approx(0.6, rel=0.02)


def test_steering_cannot_settle_before_the_decline_is_over(make_brain):
    with pytest.raises(TrainingError, match="settled at step 3"):
        fit(make_brain(steer_size=True, settle_step=3))


def test_steering_to_an_impossible_size_stops_at_the_start(make_brain):
    brain = make_brain(steer_size=True)
    brain.hparams.target_parameters = 0.01
    with pytest.raises(PlanError, match="target of 0.01 is out of reach"):
        fit(brain)
    assert brain.optimizer_step == 0


def test_without_gates_there_is_nothing_to_steer(make_brain):
    brain = make_brain(gated=False, steer_size=True, epochs=1)
    fit(brain)
    assert brain.optimizer_step == BATCHES

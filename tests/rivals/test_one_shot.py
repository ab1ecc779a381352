"""Recognisers that are cut once, by a score.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from types import SimpleNamespace

import pytest
import torch

from speechbrain_neuronprune import adaptive_dropouts, compact, find_units
from speechbrain_neuronprune.gates.open_gate import OpenGate
from speechbrain_neuronprune.rivals.one_shot import (
    OneShotMixin,
    magnitudes,
    relative,
)
from speechbrain_neuronprune.units import count_parameters
from tests.tiny_run import rival_brain

BRAINS = ("MagnitudeASR", "TaylorASR", "RandomUnitsASR")
GATE = "!name:speechbrain_neuronprune.gates.open_gate.OpenGate"


@pytest.fixture
def make(tmp_path):
    """A tiny recogniser with gates that are open."""

    def of(brain):
        module = "!name:speechbrain_neuronprune.rivals.one_shot"
        return rival_brain(tmp_path, gate=GATE, brain_class=f"{module}.{brain}")

    return of


def test_magnitudes_are_those_of_what_compaction_removes(make):
    encoder = make("MagnitudeASR").pruned
    for group in find_units(encoder).values():
        layer = encoder.get_submodule(group.layer)
        owned = sum(
            values.square().sum()
            for name, values in layer.named_parameters()
            if name in {one.parameter for one in group.slices}
        )
        found = magnitudes(encoder, group).sum()
        assert 0 < found <= owned * 1.001


def test_layers_without_gates_may_have_units_that_cannot_go(partly_gated):
    brain = SimpleNamespace(pruned=partly_gated(OpenGate))
    groups = OneShotMixin._gated(brain)
    assert groups.keys() == adaptive_dropouts(brain.pruned).keys() and groups


def test_relative_scores_have_a_mean_of_one():
    scores = relative(torch.tensor([1.0, 3.0]))
    assert scores.tolist() == [0.5, 1.5]
    assert relative(torch.zeros(2)).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("name", BRAINS)
def test_the_plan_has_the_size_and_the_highest_scores(make, name):
    brain = make(name)
    for gate in adaptive_dropouts(brain.pruned).values():
        torch.nn.init.uniform_(gate.importance)
    plan = brain.plan_for(0.6)
    left = brain.other_parameters + count_parameters(
        compact(brain.pruned, plan)
    )
    whole = brain.other_parameters + count_parameters(brain.pruned)
    assert left == pytest.approx(0.6 * whole, rel=0.02)
    scores = brain.scores()
    kept = torch.cat([scores[n][keep] for n, keep in plan.keep.items()])
    gone = torch.cat([scores[n][~keep] for n, keep in plan.keep.items()])
    assert kept.min() >= gone.max()


def test_what_is_settled_stays_whatever_the_scores_become(make):
    brain = make("RandomUnitsASR")
    plan = brain.plan_for(0.6)
    for name, gate in adaptive_dropouts(brain.pruned).items():
        gate.settle(plan.keep[name])
    brain.scores = None  # would raise
    again = brain.plan_for(0.6)
    assert all(again.keep[n].equal(keep) for n, keep in plan.keep.items())

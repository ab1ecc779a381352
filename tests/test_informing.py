"""Logits that begin with what open gates have noted."""

import pytest
import torch

from speechbrain_neuronprune import (
    RetentionSchedule,
    adaptive_dropouts,
    attach_adaptive_dropout,
    find_units,
)
from speechbrain_neuronprune.gates.informed import InformedDropout
from speechbrain_neuronprune.informing import (
    SPREAD,
    inform,
    informed_dropouts,
    noted_importance,
)


@pytest.fixture
def model(make_asr):
    schedule = RetentionSchedule(hold=3)
    return attach_adaptive_dropout(
        make_asr(), schedule, gate=InformedDropout
    ).train()


def test_importance_is_relative_to_what_units_own(model):
    groups = find_units(model)
    for gate in adaptive_dropouts(model).values():
        gate.importance.fill_(6.0)
    for name, scores in noted_importance(model).items():
        owned = groups[name].parameters_per_unit
        assert scores.shape == (groups[name].size,)
        assert torch.allclose(scores, torch.tensor(6.0 / owned))


def test_layers_without_gates_may_have_units_that_cannot_go(partly_gated):
    encoder = partly_gated(InformedDropout)
    scores = noted_importance(encoder)
    assert scores.keys() == informed_dropouts(encoder).keys() and scores


class Elsewhere(torch.Tensor):
    """Stands for a tensor on a GPU."""

    def cpu(self):
        return self.as_subclass(torch.Tensor)


def test_importance_is_sent_to_other_processes_from_the_cpu(model):
    for gate in adaptive_dropouts(model).values():
        gate.importance = gate.importance.as_subclass(Elsewhere)
    scores = noted_importance(model).values()
    assert {type(one) for one in scores} == {torch.Tensor}


def test_logits_are_normal_in_the_order_of_all_scores(model):
    names = list(informed_dropouts(model))
    assert names == list(adaptive_dropouts(model))
    # powers, so that values would not do where ranks do
    scores = {
        name: torch.randn(gate.size).exp() ** 9
        for name, gate in informed_dropouts(model).items()
    }
    inform(model, scores)
    gates = informed_dropouts(model)
    betas = torch.cat([gates[name].beta().flatten() for name in names])
    order = torch.cat([scores[name] for name in names]).argsort()
    assert (betas[order].diff() > 0).all()
    away = (betas - gates[names[0]].schedule.c()) / SPREAD
    assert away.mean().item() == pytest.approx(0.0, abs=1e-4)
    assert away.std().item() == pytest.approx(1.0, abs=0.05)
    assert all(gate.informed for gate in gates.values())


def test_other_gates_are_none_of_its_business(make_asr):
    model = attach_adaptive_dropout(make_asr(), RetentionSchedule())
    assert informed_dropouts(model) == {}

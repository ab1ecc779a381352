"""Plans of what sources hold.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from types import SimpleNamespace

import pytest
import torch

from speechbrain_neuronprune import (
    RetentionSchedule,
    attach_adaptive_dropout,
    compact,
)
from speechbrain_neuronprune.compaction import remove_gates
from speechbrain_neuronprune.deploy.planning import plan_by_retention
from speechbrain_neuronprune.errors import PlanError
from speechbrain_neuronprune.units import count_parameters


@pytest.fixture
def source(make_encoder):
    """A source whose gates have learned something, and its output layer."""
    schedule = RetentionSchedule(steps=5)
    encoder = attach_adaptive_dropout(make_encoder(num_layers=1), schedule)
    schedule.advance()
    for name, parameter in encoder.named_parameters():
        if name.endswith("logits"):
            torch.nn.init.normal_(parameter)
    return SimpleNamespace(
        network=encoder, other_parameters=1000, path="somewhere"
    )


def test_a_target_is_of_the_whole_recogniser(source):
    made = plan_by_retention(source, {"target": 0.8})
    size = count_parameters(compact(source.network, made)) + 1000
    dense = count_parameters(remove_gates(source.network)) + 1000
    assert size == pytest.approx(0.8 * dense, rel=0.01)


def test_a_share_of_each_group_stays(source):
    made = plan_by_retention(source, {"fraction": 0.5})
    for units in made.keep.values():
        assert int(units.sum()) == round(0.5 * len(units))


def test_logits_that_no_schedule_has_moved_are_told(make_encoder, caplog):
    schedule = RetentionSchedule(steps=5)
    encoder = attach_adaptive_dropout(make_encoder(num_layers=1), schedule)
    source = SimpleNamespace(
        network=encoder,
        other_parameters=0,
        parameters=count_parameters(encoder),
        path="somewhere",
    )
    with caplog.at_level("WARNING"):
        plan_by_retention(source, {"fraction": 0.5})
    assert "the retention logits is at step 0" in caplog.text


def test_a_source_without_gates_is_refused(make_encoder):
    source = SimpleNamespace(
        network=make_encoder(num_layers=1), other_parameters=0, path="somewhere"
    )
    with pytest.raises(PlanError, match="somewhere has no adaptive dropout"):
        plan_by_retention(source, {"fraction": 0.5})

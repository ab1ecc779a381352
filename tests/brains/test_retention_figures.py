"""The figures of the gates: numbers that add up.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import json

import pytest
import torch

from speechbrain_neuronprune import (
    RetentionSchedule,
    adaptive_dropouts,
    attach_adaptive_dropout,
    compact,
)
from speechbrain_neuronprune.brains.retention_figures import (
    alive_units,
    retention_figures,
)
from speechbrain_neuronprune.plan import PruningPlan
from speechbrain_neuronprune.units import count_parameters, find_units


@pytest.fixture
def gated(make_asr):
    model = attach_adaptive_dropout(make_asr(), RetentionSchedule(steps=4))
    for gate in adaptive_dropouts(model).values():
        torch.nn.init.normal_(gate.logits)
    return model


def test_kept_parameters_are_those_of_the_compact_model(gated):
    figures = retention_figures(gated, others=7)
    plan = PruningPlan.from_retention(gated)
    small = compact(gated, plan)
    assert figures["kept_parameters"] == count_parameters(small) + 7
    assert figures["dense_parameters"] == count_parameters(gated) + 7
    assert 0 < figures["expected_parameters"] < figures["dense_parameters"]


def test_groups_and_histograms_count_every_unit(gated):
    figures = json.loads(json.dumps(retention_figures(gated)))
    groups = find_units(gated)
    assert list(figures["groups"]) == list(groups)
    for name, group in figures["groups"].items():
        keep = adaptive_dropouts(gated)[name].keep()
        assert group["size"] == groups[name].size
        assert group["alive"] == int(keep.sum())
    for kind, counts in figures["logit_histogram"]["counts"].items():
        sizes = [g.size for g in groups.values() if g.kind == kind]
        assert sum(counts) == sum(sizes)
        assert len(counts) == len(figures["logit_histogram"]["edges"]) - 1
        quantiles = figures["logit_quantiles"][kind]
        assert quantiles == sorted(quantiles)


def test_logits_beyond_the_edges_are_counted_too(gated):
    for gate in adaptive_dropouts(gated).values():
        torch.nn.init.constant_(gate.logits, 50.0)
    counts = retention_figures(gated)["logit_histogram"]["counts"]
    assert all(c[-1] == sum(c) > 0 for c in counts.values())


def test_alive_units_per_kind(gated):
    figures = retention_figures(gated)
    alive = alive_units(figures)
    assert list(alive) == ["ffn", "query", "value", "conv"]
    assert sum(alive.values()) == sum(
        int(gate.keep().sum()) for gate in adaptive_dropouts(gated).values()
    )


def test_a_model_without_gates_is_dense(make_asr):
    figures = retention_figures(make_asr())
    assert figures["groups"] == figures["logit_quantiles"] == {}
    assert figures["kept_parameters"] == figures["dense_parameters"]

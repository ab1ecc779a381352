"""Sizes that gates expect are those that compaction leaves.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import pytest
import torch
from torch import nn

from speechbrain_neuronprune import (
    PruningPlan,
    RetentionSchedule,
    adaptive_dropouts,
    attach_adaptive_dropout,
    compact,
    find_units,
)
from speechbrain_neuronprune.attach import retention_logits
from speechbrain_neuronprune.expected_size import (
    expected_parameters,
    kept_parameters,
    surviving_parameters,
)
from speechbrain_neuronprune.units import count_parameters


def test_a_weight_between_two_groups_counts_once():
    chain = nn.Sequential(
        *(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU()),
        *(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)),
    )
    gated = attach_adaptive_dropout(chain, RetentionSchedule())
    for gate in adaptive_dropouts(gated).values():
        gate.logits.data[:2] = -5.0
    small = compact(gated, PruningPlan.from_retention(gated))
    assert kept_parameters(gated) == count_parameters(small)
    for gate in adaptive_dropouts(gated).values():
        gate.logits.data.fill_(-1.0)  # retained with probability 1 / 2
    between = 6 * 5 / 4 + (4 * 6 + 6 + 2 * 6 + 5 + 5 * 3) / 2 + 3
    assert expected_parameters(gated) == pytest.approx(between)


def test_expected_and_kept_parameters(make_encoder):
    schedule = RetentionSchedule(20.0, -20.0, steps=1)
    gated = attach_adaptive_dropout(make_encoder(), schedule)
    total = count_parameters(gated)
    assert expected_parameters(gated) == pytest.approx(total)
    assert kept_parameters(gated) == total
    schedule.advance(1)
    owned = sum(
        group.size * group.parameters_per_unit
        for group in find_units(gated).values()
    )
    assert expected_parameters(gated) == pytest.approx(total - owned, abs=1)
    with torch.no_grad():
        for gate in adaptive_dropouts(gated).values():
            gate.logits.fill_(-1.0)
    assert kept_parameters(gated) == total - owned


def test_what_a_unit_is_likely_to_keep_has_a_gradient(make_encoder):
    """No weight of a Conformer belongs to units of two groups, so every unit
    counts for itself."""
    gated = attach_adaptive_dropout(make_encoder(), RetentionSchedule(3.0, 3.0))
    for gate in adaptive_dropouts(gated).values():
        nn.init.normal_(gate.logits)
    groups = find_units(gated)
    chances = {
        name: gate.retention()
        for name, gate in adaptive_dropouts(gated).items()
    }
    by_units = count_parameters(gated) - sum(
        groups[name].parameters_per_unit * (1.0 - chance).sum()
        for name, chance in chances.items()
    )
    size = surviving_parameters(gated, lambda gate: gate.retention())
    assert size.item() == pytest.approx(by_units.item())
    logits = list(retention_logits(gated))
    for one, two in zip(
        torch.autograd.grad(size, logits),
        torch.autograd.grad(by_units, logits),
        strict=True,
    ):
        torch.testing.assert_close(one, two)

"""What a decision means for the gates.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import torch

from speechbrain_neuronprune import (
    RetentionSchedule,
    adaptive_dropouts,
    attach_adaptive_dropout,
)
from speechbrain_neuronprune.settling import settle


def test_settling_leaves_groups_without_a_decision_whole(make_encoder):
    gated = attach_adaptive_dropout(
        make_encoder(num_layers=1), RetentionSchedule()
    )
    (first, one), *others = adaptive_dropouts(gated).items()
    keep = torch.arange(one.size) % 2 > 0
    settle(gated, {first: keep})
    assert one.settled and torch.equal(one.keep(), keep)
    assert all(gate.whole for _, gate in others)

"""The plans that benchmarks make for their encoders.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import pytest
import torch

from speechbrain_neuronprune import find_units


@pytest.fixture
def encoders(load_benchmark):
    return load_benchmark("encoders")


def test_even_plan_halves_every_head(encoders):
    encoder = encoders.build_encoder(encoders.SIZES["tiny"], "RelPosMHAXL")
    widths = encoders.even_plan(encoder, 0.5).widths(encoder)
    for name, group in find_units(encoder).items():
        halves = [width // 2 for width in group.widths]
        assert widths[name] in (halves, halves[0])


def test_retention_leaves_heads_of_very_different_widths(encoders):
    size = encoders.Size(2, 64, 256, 4, 3, frames=10, rounds=1)
    encoder = encoders.build_encoder(size, "RelPosMHAXL")
    torch.manual_seed(0)
    plan = encoders.retention_plan(encoder, 0.5)
    widths = plan.widths(encoder)["layers.0.mha_layer.value"]
    assert max(widths) > 1.5 * min(widths)
    kept = torch.cat(list(plan.keep.values())).float().mean()
    assert 0.3 < kept < 0.7


def test_rounded_plans_have_heads_of_one_width(encoders):
    size = encoders.Size(2, 64, 256, 4, 3, frames=10, rounds=1)
    encoder = encoders.build_encoder(size, "RelPosMHAXL")
    torch.manual_seed(0)
    plan = encoders.rounded_plan(encoder, 0.5)
    widths = plan.widths(encoder)
    for kept in widths.values():
        heads = kept if isinstance(kept, list) else [kept]
        assert len(set(heads)) == 1
        assert all(width % encoders.ROUND_TO == 0 for width in heads)
    assert len({str(kept) for kept in widths.values()}) > 3

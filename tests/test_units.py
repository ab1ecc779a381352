"""Groups: names, order, sizes, slices, and the errors of a bad target."""

import pytest
import torch
from speechbrain.lobes.models.transformer.Conformer import ConformerEncoder
from torch import nn

from speechbrain_neuronprune import (
    RetentionSchedule,
    attach_adaptive_dropout,
    find_units,
)
from speechbrain_neuronprune.errors import UnitsError
from speechbrain_neuronprune.units import count_parameters, projection_rows

NAMES = [
    "layers.0.ffn_module1",
    "layers.0.mha_layer.query",
    "layers.0.mha_layer.value",
    "layers.0.convolution_module",
    "layers.0.ffn_module2",
]


def test_groups_come_in_forward_order(make_encoder):
    groups = find_units(make_encoder(num_layers=1))
    assert list(groups) == NAMES
    kinds = [group.kind for group in groups.values()]
    assert kinds == ["ffn", "query", "value", "conv", "ffn"]


def test_a_transformer_asr_prefixes_the_names(make_asr):
    groups = find_units(make_asr())
    assert list(groups)[:5] == ["encoder." + name for name in NAMES]
    assert len(groups) == 10


@pytest.mark.parametrize(
    "targets, expected",
    [
        ("ffn", [0, 4]),
        (["query", "value"], [1, 2]),
        ("layers.0.mha_layer.*", [1, 2]),
        (["*.convolution_module", "ffn"], [0, 3, 4]),
        (None, [0, 1, 2, 3, 4]),
    ],
)
def test_targets_are_kinds_or_patterns(make_encoder, targets, expected):
    groups = find_units(make_encoder(num_layers=1), targets)
    assert list(groups) == [NAMES[index] for index in expected]


def test_a_pattern_without_a_match_lists_what_there_is(make_encoder):
    with pytest.raises(UnitsError) as error:
        find_units(make_encoder(num_layers=1), ["ffn", "layers.7.*"])
    assert "'layers.7.*'" in str(error.value)
    assert all(name in str(error.value) for name in NAMES)


def test_unsupported_attention_is_refused_by_name():
    encoder = ConformerEncoder(1, 16, 24, 2, attention_type="hypermixing")
    with pytest.raises(UnitsError, match="mha_layer is a HyperMixing"):
        find_units(encoder)
    with pytest.raises(UnitsError, match="HyperMixing"):
        attach_adaptive_dropout(encoder, RetentionSchedule())
    assert len(find_units(encoder, ["ffn", "conv"])) == 3


def test_paper_costs_per_unit():
    """Sec. 3 at D = 512: a hidden unit owns 2 D + 1 parameters."""
    encoder = ConformerEncoder(
        1, 512, 2048, 8, kernel_size=31, attention_type="RoPEMHA"
    )
    costs = {n: g.parameters_per_unit for n, g in find_units(encoder).items()}
    assert costs[NAMES[0]] == 2 * 512 + 1
    assert costs[NAMES[1]] == 2 * 2 * 512  # a rotation pair: 2 q and 2 k rows
    assert costs[NAMES[2]] == 2 * 512
    # two pointwise rows, kernel, LayerNorm, one output column
    assert costs[NAMES[3]] == 2 * 513 + 32 + 2 + 512


@pytest.mark.parametrize("attention", ["RelPosMHAXL", "RoPEMHA", "regularMHA"])
def test_slices_never_overlap(make_encoder, attention):
    """Every scalar belongs to at most one unit of the model, except where a
    row of one group crosses a column of another."""
    encoder = make_encoder(num_layers=1, attention_type=attention)
    owned = {}
    for group in find_units(encoder).values():
        for one in group.slices:
            key = (group.layer, one.parameter, one.dim)
            owned.setdefault(key, []).append(one.index.flatten())
    for key, parts in owned.items():
        index = torch.cat(parts)
        assert len(index.unique()) == len(index), key


def test_projection_rows_follow_speechbrains_interleaving(make_encoder):
    """q0 k0 v0 q1 k1 v1 in RelPosMHAXL, checked on its own forward."""
    layer = make_encoder(num_layers=1).layers[0].mha_layer
    x = torch.randn(1, 3, 16)
    joint = nn.functional.linear(x, layer.in_proj_weight)
    parts = joint.view(1, 3, 2, 24).chunk(3, dim=-1)
    for rows, part in zip(projection_rows(layer), parts, strict=True):
        assert torch.equal(joint[..., rows], part.flatten(2))


def test_gate_logits_are_not_counted(make_encoder):
    encoder = make_encoder()
    before = count_parameters(encoder)
    attach_adaptive_dropout(encoder, RetentionSchedule())
    assert count_parameters(encoder) == before
    assert sum(p.numel() for p in encoder.parameters()) > before


def test_a_model_without_units_has_no_groups():
    assert find_units(nn.Linear(3, 3)) == {}

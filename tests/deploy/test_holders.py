"""Who else holds a part of a layer that gets narrower.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import pytest
import torch
from torch import nn

from speechbrain_neuronprune import PruningPlan
from speechbrain_neuronprune.deploy.holders import (
    check_holders,
    check_loaded,
    groups_cut,
)
from speechbrain_neuronprune.errors import ExportError


def chain():
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))


def cut(network):
    """Its groups, half of whose units go."""
    return groups_cut(network, PruningPlan({"0": torch.arange(8) < 4}))


def test_groups_that_lose_nothing_matter_to_nobody():
    assert groups_cut(chain(), PruningPlan({"0": torch.arange(8) < 8})) == []
    assert [group.name for group in cut(chain())] == ["0"]


def test_a_weight_that_is_tied_to_another_layer_is_refused():
    network, tied = chain(), nn.Linear(4, 8)
    modules = nn.ModuleDict({"network": network, "tied": tied})
    check_holders(network, cut(network), modules)
    tied.weight = network[0].weight
    with pytest.raises(ExportError, match="layer of 0 is a part of a Linear"):
        check_holders(network, cut(network), modules)


@pytest.mark.parametrize("layers", [1, 2])
def test_attention_that_another_module_uses_is_refused(make_encoder, layers):
    """A whole block, or the encoder, it may use."""
    encoder = make_encoder(num_layers=layers)
    name = "layers.0.mha_layer.query"
    plan = PruningPlan({name: torch.arange(16) % 2 < 1})
    groups = groups_cut(encoder, plan)
    for whole in (encoder, encoder.layers, encoder.layers[0]):
        modules = nn.ModuleDict({"a": encoder, "b": nn.Sequential(whole)})
        check_holders(encoder, groups, modules)
    part = nn.Sequential(encoder.layers[0].mha_layer)
    modules = nn.ModuleDict({"a": encoder, "b": part})
    with pytest.raises(ExportError, match="query is a part of a Sequential"):
        check_holders(encoder, groups, modules)


def test_statistics_of_norms_have_to_be_loaded_as_well():
    network = nn.Sequential(
        nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 3)
    )
    parts = {"first": network[0], "norm": network[1], "last": network[3]}
    check_loaded(network, cut(network), parts)
    del parts["norm"]
    with pytest.raises(ExportError, match=r"none .* \(first, last\)"):
        check_loaded(network, cut(network), parts)

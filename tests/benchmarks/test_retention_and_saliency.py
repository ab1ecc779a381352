"""Retention against saliency, on rankings that are made up."""

import json

import numpy as np
import pytest
import torch

from speechbrain_neuronprune import (
    RetentionSchedule,
    adaptive_dropouts,
    attach_adaptive_dropout,
)
from speechbrain_neuronprune.units import find_units, linears_of


@pytest.fixture
def module(load_benchmark):
    return load_benchmark("retention_and_saliency")


def test_removals_are_counted_by_tenth_of_the_ranking(module):
    scores = {"a": torch.arange(20.0), "b": torch.arange(10.0).flip(0)}
    keep = {"a": torch.arange(20) >= 2, "b": torch.arange(10) >= 5}
    removed = module.removed_by_tenth(scores, keep)
    # a loses its lowest tenth, b the upper half of its ranking
    assert removed == [0.5, 0.0, 0.0, 0.0, 0.0, 0.5, 0.5, 0.5, 0.5, 0.5]


def test_a_model_is_compared_with_its_own_plan(
    module, make_asr, monkeypatch, tmp_path, capsys
):
    network = attach_adaptive_dropout(make_asr(), RetentionSchedule()).eval()
    gates = adaptive_dropouts(network)
    for gate in gates.values():
        torch.nn.init.constant_(gate.logits, 100.0)
    groups = find_units(network, ["ffn"])
    for name, group in groups.items():
        # logits in the order of the weight power: its correlation is 1
        producer, _ = linears_of(network, group)
        gates[name].logits.data = producer.weight.square().sum(1)
    hparams = {
        "Transformer": network,
        "ctc_lin": torch.nn.Linear(16, 3),
        "target_parameters": 0.8,
    }
    speech = [(torch.randn(2, 30, 20), torch.tensor([1.0, 0.5]))]
    monkeypatch.setattr(module, "hidden_features", lambda _: speech)
    monkeypatch.setattr(module, "load_run", lambda _: hparams)
    module.main([str(tmp_path)])
    result = json.loads((tmp_path / "retention_and_saliency.json").read_text())
    assert result["groups"] == [f"transformer.{name}" for name in groups]
    assert np.allclose(result["correlation"]["mbp"], 1.0)
    mbp = result["removed"]["mbp"]
    assert mbp == sorted(mbp, reverse=True) and mbp[0] > mbp[-1]
    assert (tmp_path / "retention_and_saliency.png").stat().st_size > 1000
    assert "| mbp | +1.00" in capsys.readouterr().out

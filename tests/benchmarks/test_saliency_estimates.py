"""Estimates against the whole, on speech that is made up."""

import json

import pytest
import torch

from speechbrain_neuronprune import RetentionSchedule, attach_adaptive_dropout


@pytest.fixture
def module(load_benchmark):
    return load_benchmark("saliency_estimates")


def test_agreement_of_a_ranking_with_itself_and_its_opposite(module):
    scores = {"a": torch.arange(100.0), "b": torch.arange(50.0).flip(0)}
    same = module.agreement(scores, scores)
    assert same == {"rank": [1, 1], "hypo": [1, 1], "hyper": [1, 1]}
    turned = {name: -values for name, values in scores.items()}
    other = module.agreement(scores, turned)
    assert other == {"rank": [-1, -1], "hypo": [0, 0], "hyper": [0, 0]}


def test_strides_of_a_model(module, make_asr, monkeypatch, tmp_path, capsys):
    network = attach_adaptive_dropout(
        make_asr(d_ffn=100), RetentionSchedule()
    ).eval()
    hparams = {
        "Transformer": network,
        "ctc_lin": torch.nn.Linear(16, 3),
        "target_parameters": 0.8,
    }
    speech = [(torch.randn(4, 30, 20), torch.ones(4)) for _ in range(4)]
    monkeypatch.setattr(module, "hidden_features", lambda *_: speech)
    monkeypatch.setattr(module, "load_run", lambda _: hparams)
    monkeypatch.setattr(module, "STRIDES", (1, 8))
    module.main([str(tmp_path)])
    rows = json.loads((tmp_path / "saliency_estimates.json").read_text())
    assert [(row["criterion"], row["stride"]) for row in rows] == [
        (criterion, stride) for criterion in module.OPTIONS for stride in (1, 8)
    ]
    for exact, estimate in zip(rows[::2], rows[1::2], strict=True):
        assert min(exact["rank"]) == 1.0
        assert 0.2 < min(estimate["rank"]) <= 1.0
        assert exact["criterion"] == "obs" or min(estimate["rank"]) < 1.0
    assert "| taylor | gradient_stride=8 |" in capsys.readouterr().out

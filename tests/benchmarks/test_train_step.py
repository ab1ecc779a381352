"""Tests of the training step's benchmark, not of speed.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import json

import pytest
import torch
from torch import nn

from speechbrain_neuronprune import adaptive_dropouts


@pytest.fixture
def script(load_benchmark):
    return load_benchmark("train_step")


def test_table_and_json(script, tmp_path, capsys):
    output = tmp_path / "out" / "train_step.json"
    script.main(
        ["--sizes", "tiny", "--rounds", "2", "--cpu-time"]
        + ["--output", str(output)]
    )
    content = json.loads(output.read_text())
    rows = content["rows"]
    assert (content["threads"], content["clock"]) == (1, "process_time")
    assert [row["attention"] for row in rows] == ["RelPosMHAXL", "RoPEMHA"]
    for row in rows:
        assert set(row["median_ms"]) == {"plain", "dropout", "gates"}
        assert row["gates_over_dropout"] > 0
        assert row["rounds"] == 2
    table = capsys.readouterr().out
    assert table.count("tiny") == 2
    assert f"Bar: gates / dropout <= {script.BAR}" in table
    worst = max(row["gates_over_dropout"] for row in rows)
    assert content["met"] == (worst <= script.BAR)


@pytest.mark.parametrize("attention", ["RelPosMHAXL", "RoPEMHA"])
def test_dropout_stands_at_the_five_places(script, attention):
    size = script.SIZES["tiny"]
    encoder = script.build_encoder(size, attention)
    drops = []
    script.put_dropout(encoder, 0.5)
    for module in encoder.modules():
        if isinstance(module, nn.Dropout) and module.p == 0.5:
            module.register_forward_hook(lambda m, *_: drops.append(m))
    encoder.train()(**script.example(size, attention))
    assert len(drops) == 5
    assert len({id(module) for module in drops}) == 5


def test_dropout_is_off_in_evaluation(script):
    torch.manual_seed(0)
    size = script.SIZES["tiny"]
    encoder = script.build_encoder(size, "RoPEMHA").eval()
    source = torch.randn(1, 6, size.d_model)
    before = encoder(source)[0]
    script.put_dropout(encoder, 0.5)
    after = encoder.eval()(source)[0]
    assert torch.allclose(before, after, atol=1e-5)


def test_a_step_trains_weights_logits_and_schedule(script):
    size = script.SIZES["tiny"]
    encoder = script.build_encoder(size, "RoPEMHA").train()
    schedule = script.RetentionSchedule(c_start=0.0, steps=10)
    script.attach_adaptive_dropout(encoder, schedule)
    before = {k: v.clone() for k, v in encoder.named_parameters()}
    batch = {"src": torch.randn(2, 6, size.d_model)}
    script.training_step(encoder, batch, schedule)()
    assert schedule.step == 1
    changed = {
        name
        for name, parameter in encoder.named_parameters()
        if not torch.equal(parameter, before[name])
    }
    assert any(name.endswith("logits") for name in changed)
    assert any(name.endswith("in_proj_weight") for name in changed)
    assert len(adaptive_dropouts(encoder)) == 5


def test_an_unknown_size_is_refused(script, capsys):
    with pytest.raises(SystemExit) as stop:
        script.main(["--sizes", "huge"])
    assert stop.value.code == 2
    assert "invalid choice: 'huge'" in capsys.readouterr().err

"""Tests of the benchmark of ONNX Runtime, not of speed.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import json

import pytest
import torch

pytest.importorskip("onnxruntime")


@pytest.fixture
def script(load_benchmark):
    return load_benchmark("onnx_speed")


@pytest.fixture
def in_pytorch(script, monkeypatch):
    """Nothing is exported."""
    monkeypatch.setattr(
        script,
        "call_in_runtime",
        lambda model, given: lambda: model(*given).numpy(),
    )


def test_table_and_json(script, in_pytorch, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(script, "BARS", {"tiny": 1e9})
    output = tmp_path / "onnx_speed.json"
    script.main(
        ["--sizes", "tiny", "--rounds", "2", "--cpu-time"]
        + ["--output", str(output)]
    )
    content = json.loads(output.read_text())
    kinds = ("retention", "rounded")
    plans = [f"{kind} {share} %" for share in (50, 25) for kind in kinds]
    assert [row["model"] for row in content["rows"]] == 2 * ["dense", *plans]
    for row in content["rows"]:
        assert row["reached"] == row["over_stock"] / row["promised"]
    table = capsys.readouterr().out
    assert "retention 25 %" in table
    assert "100000000000 % of the promise: missed" in table
    assert content["met"] == {"tiny": False}


def test_no_bar_without_rounded_plans(script, in_pytorch, tmp_path):
    output = tmp_path / "onnx_speed.json"
    options = ["--sizes", "tiny", "--rounds", "1", "--plans", "even"]
    script.main([*options, "--output", str(output)])
    assert json.loads(output.read_text())["met"] == {}


@torch.no_grad()
def test_the_runtime_computes_the_encoder(script):
    size = script.SIZES["tiny"]
    encoder = script.build_encoder(size, "RelPosMHAXL")
    small = script.compact(encoder, script.PLANS["ragged"](encoder, 0.5))
    model = script.Frames(small, size, "RelPosMHAXL").eval()
    given = model.example(batch=1)
    found = torch.from_numpy(script.call_in_runtime(model, given)())
    torch.testing.assert_close(found, model(*given), atol=1e-5, rtol=1e-5)

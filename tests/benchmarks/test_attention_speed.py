"""Tests of the benchmark of single layers, not of speed.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import json

import pytest
import torch


@pytest.fixture
def script(load_benchmark):
    return load_benchmark("attention_speed")


def test_table_and_json(script, tmp_path, capsys):
    output = tmp_path / "attention_speed.json"
    script.main(
        ["--sizes", "tiny", "--rounds", "1", "--cpu-time", "--frames", "7"]
        + ["--output", str(output)]
    )
    content = json.loads(output.read_text())
    rows = content["rows"]
    assert len(rows) == 2 * 2 * len(script.SHARES)
    ratios = [r["ratio"] for r in rows if r["layer"] == "RelPosMHAXL"]
    assert content["met"] == (max(ratios) <= script.BAR)
    assert "Bar: RelPosMHAXL at most 0.80 of stock" in capsys.readouterr().out


@pytest.mark.parametrize("attention", ["RelPosMHAXL", "RoPEMHA"])
@pytest.mark.parametrize("share", [1.0, 0.5])
@torch.no_grad()
def test_both_have_the_same_work(script, attention, share):
    """The stock layer is SpeechBrain's, narrowed, and computes the same;
    rotary frequencies aside, which it derives from its width."""
    x = torch.randn(1, 7, 16)
    for kind, ours in script.layers("tiny", attention, share).items():
        stock = script.stock_form(ours)
        assert type(stock).__module__.startswith("speechbrain.")
        if kind == "RoPEMHA" and share < 1.0:
            continue
        given = script.given_to(kind, x)
        outputs = [layer(**given) for layer in (stock, ours)]
        torch.testing.assert_close(*outputs, atol=1e-5, rtol=1e-5)


def test_ours_may_be_compiled(script, tmp_path, monkeypatch):
    asked = []

    def compiler(layer):
        asked.append(type(layer).__module__)
        return layer

    monkeypatch.setattr(script, "compiled", compiler)
    output = tmp_path / "attention_speed.json"
    script.main(
        ["--sizes", "tiny", "--rounds", "1", "--frames", "7", "--compile"]
        + ["--output", str(output)]
    )
    rows = json.loads(output.read_text())["rows"]
    assert all(row["compiled"] for row in rows)
    assert len(asked) == len(rows)
    assert not any(module.startswith("speechbrain.") for module in asked)

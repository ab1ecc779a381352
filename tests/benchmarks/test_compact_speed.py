"""Tests of the compact encoder's benchmark, not of speed.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import json

import pytest
import torch
from speechbrain.nnet.attention import RelPosMHAXL

from speechbrain_neuronprune import find_units, measure_cost
from speechbrain_neuronprune.layers.relative import RelPosUnitAttention

KINDS = ["even", "ragged", "retention", "rounded"]
COMPACT = [f"{kind} {share} %" for share in (50, 25) for kind in KINDS]
MODELS = ["stock", "dense", *COMPACT]


@pytest.fixture
def script(load_benchmark):
    return load_benchmark("compact_speed")


def test_table_and_json(script, tmp_path, capsys):
    output = tmp_path / "out" / "compact_speed.json"
    script.main(
        ["--sizes", "tiny", "--rounds", "2", "--cpu-time"]
        + ["--output", str(output)]
    )
    content = json.loads(output.read_text())
    rows = content["rows"]
    assert (content["threads"], content["clock"]) == (1, "process_time")
    assert [row["model"] for row in rows] == 2 * MODELS
    for row in rows:
        assert row["reached"] == row["over_stock"] / row["promised"]
        assert row["reached_over_dense"] == row["over_dense"] / row["promised"]
    whole = [row for row in rows if row["model"] in ("stock", "dense")]
    assert all(row["promised"] == 1 for row in whole)
    table = capsys.readouterr().out
    assert "even 25 %" in table
    assert content["met"] == {}  # the tiny size has no bar


def test_the_stock_encoder_is_speechbrains_and_the_dense_one_ours(
    script, monkeypatch
):
    timed = {}

    def remember(models, *_):
        timed.update(models)
        return {key: [1.0] for key in models}

    monkeypatch.setattr(script, "latencies", remember)
    script.benchmark("tiny", "RelPosMHAXL", rounds=1)
    attention = {name: type(timed[name].layers[0].mha_layer) for name in MODELS}
    assert attention.pop("stock") is RelPosMHAXL
    assert set(attention.values()) == {RelPosUnitAttention}


def test_compiled_models_of_chosen_plans_take_turns(
    script, tmp_path, monkeypatch
):
    asked = []

    def compiler(model, **options):
        asked.append(options)
        return model

    monkeypatch.setattr(torch, "compile", compiler)
    output = tmp_path / "compact_speed.json"
    script.main(
        ["--sizes", "tiny", "--rounds", "1", "--plans", "even", "--compile"]
        + ["--output", str(output)]
    )
    rows = json.loads(output.read_text())["rows"]
    ours = ["dense", "even 50 %", "even 25 %"]
    models = ["stock", "stock compiled", *ours]
    assert [row["model"] for row in rows] == 2 * models
    assert [row["compiled"] for row in rows] == 2 * [False, *4 * [True]]
    assert asked == 8 * [{"options": {"cpp_wrapper": True}}]


def test_a_verdict_is_on_the_slowest(script, capsys):
    rows = [
        {"size": "12x144", "reached": reached} for reached in (1.0, 0.9, 0.84)
    ]
    rows.append({"size": "17x512", "reached": 0.1})
    assert not script.print_verdict("12x144", 0.85, rows)
    assert "85 % of the promise: missed (worst 84 %)" in capsys.readouterr().out
    assert script.print_verdict("12x144", 0.84, rows)


@pytest.mark.parametrize("attention", ["RelPosMHAXL", "RoPEMHA"])
def test_the_promise_is_the_stock_encoders_arithmetic(script, attention):
    """Every product of a stock encoder scales with some group's units."""
    size = script.SIZES["tiny"]
    encoder = script.build_encoder(size, attention)
    costs = script.macs_per_unit(size, attention)
    expected = sum(
        costs[group.kind] * group.size for group in find_units(encoder).values()
    )
    given = script.example(size, attention)
    assert measure_cost(encoder, given, rounds=1).macs == expected


@pytest.mark.parametrize("attention", ["RelPosMHAXL", "RoPEMHA"])
def test_fewer_units_promise_more(script, attention):
    rows = script.benchmark("tiny", attention, rounds=1)
    promised = {row["model"]: row["promised"] for row in rows}
    assert promised["even 25 %"] > promised["even 50 %"] > 1.5
    parameters = {row["model"]: row["parameters"] for row in rows}
    assert parameters["even 25 %"] < parameters["even 50 %"]
    assert parameters["even 50 %"] < 0.65 * parameters["dense"]

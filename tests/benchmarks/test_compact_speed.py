"""Tests of the compact encoder's benchmark, not of speed.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import json

import pytest

from speechbrain_neuronprune import find_units
from speechbrain_neuronprune.units import count_parameters

MODELS = ["dense", "even 50 %", "ragged 50 %", "even 25 %", "ragged 25 %"]


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
        assert row["reached"] == row["speed_up"] / row["promised"]
    dense = [row for row in rows if row["model"] == "dense"]
    assert all(row["promised"] == row["speed_up"] == 1 for row in dense)
    table = capsys.readouterr().out
    assert "even 25 %" in table
    assert "Bar: at least 85 % of the promise" in table


@pytest.mark.parametrize("attention", ["RelPosMHAXL", "RoPEMHA"])
def test_fewer_units_promise_more(script, attention):
    rows = script.benchmark("tiny", attention, rounds=1)
    promised = {row["model"]: row["promised"] for row in rows}
    assert promised["even 25 %"] > promised["even 50 %"] > 1.5
    parameters = {row["model"]: row["parameters"] for row in rows}
    assert parameters["even 25 %"] < parameters["even 50 %"]
    assert parameters["even 50 %"] < 0.65 * parameters["dense"]


def test_even_plan_halves_every_head(script):
    encoder = script.build_encoder(script.SIZES["tiny"], "RelPosMHAXL")
    widths = script.even_plan(encoder, 0.5).widths(encoder)
    for name, group in find_units(encoder).items():
        halves = [width // 2 for width in group.widths]
        assert widths[name] in (halves, halves[0])


def test_models_are_compact(script):
    models = script.build_models(script.SIZES["tiny"], "RoPEMHA")
    sizes = {name: count_parameters(m) for name, m in models.items()}
    assert list(sizes) == MODELS
    assert all(sizes[name] < sizes["dense"] for name in MODELS[1:])
    assert not any(model.training for model in models.values())

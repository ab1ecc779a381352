"""Tests of the collection of a run's figures.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import json

import pytest

from speechbrain_neuronprune.errors import DataError, PlanError
from speechbrain_neuronprune.files import write_json
from speechbrain_neuronprune.report.figures import (
    block_numbers,
    collect_figures,
    place_of,
)


def _lines(run_folder):
    return (run_folder / "retention.jsonl").read_text().splitlines()


def _write_lines(run_folder, lines, end="\n"):
    text = "\n".join(lines) + end
    (run_folder / "retention.jsonl").write_text(text)


def test_a_finished_run(run_folder):
    figures = collect_figures(run_folder)
    assert figures["name"] == "conformer_ctc_mini"
    assert figures["seed"] == 1986
    assert figures["notes"] == []
    assert figures["training"]["epoch"] == list(range(1, 21))
    assert figures["training"]["step"][-1] == 1600
    assert figures["training"]["dense_parameters"] == 1_030_000
    assert len(figures["training"]["logit_quantiles"]["ffn"]) == 20
    assert figures["results"]["splits"]["test"]["compact"] == 5.4
    write_json(run_folder / "figures.json", figures)


def test_every_recorded_curve_is_collected(run_folder):
    last = json.loads(_lines(run_folder)[-1])
    training = collect_figures(run_folder)["training"]
    for key in ("c", "expected_parameters", "kept_parameters", "valid_wer"):
        assert training[key][-1] == last[key]
    for kind, quantiles in last["logit_quantiles"].items():
        assert training["logit_quantiles"][kind][-1] == quantiles
    assert training["logit_histogram"] == last["logit_histogram"]
    retention = training["retention_mean"]
    assert retention.keys() == last["groups"].keys()


def test_units_come_from_the_plan(run_folder):
    units = collect_figures(run_folder)["units"]
    assert len(units) == 20
    assert units[0] == {
        "group": "Transformer.encoder.layers.0.ffn_module1",
        "block": 1,
        "place": "FFN 1",
        "size": 384,
        "alive": 38,
    }
    assert [row["place"] for row in units[5:10]] == [
        "FFN 1",
        "query",
        "value",
        "conv",
        "FFN 2",
    ]
    assert {row["block"] for row in units} == {1, 2, 3, 4}


def test_units_before_there_is_a_plan(run_folder):
    with_plan = collect_figures(run_folder)
    (run_folder / "plan.json").unlink()
    without = collect_figures(run_folder)
    assert without["units"] == with_plan["units"]
    assert without["units_from"] == "retention.jsonl"
    assert "no plan.json yet" in without["notes"][0]


def test_a_run_in_training(run_folder):
    (run_folder / "plan.json").unlink()
    (run_folder / "results.json").unlink()
    figures = collect_figures(run_folder)
    assert figures["results"] is None
    assert figures["name"] == run_folder.name
    assert any("no results.json yet" in note for note in figures["notes"])


def test_only_results(run_folder):
    (run_folder / "plan.json").unlink()
    (run_folder / "retention.jsonl").unlink()
    figures = collect_figures(run_folder)
    assert figures["training"] is None
    assert figures["units"] == []
    assert any("no retention.jsonl" in note for note in figures["notes"])


def test_a_resumed_run_repeats_an_epoch(run_folder):
    lines = _lines(run_folder)
    again = json.loads(lines[-1])
    again["valid_wer"] = 7.5
    _write_lines(run_folder, [*lines, json.dumps(again)])
    training = collect_figures(run_folder)["training"]
    assert training["epoch"] == list(range(1, 21))
    assert training["valid_wer"][-1] == 7.5


def test_an_unfinished_last_line_is_left_out(run_folder):
    lines = _lines(run_folder)
    _write_lines(run_folder, [*lines, lines[-1][:100]], end="")
    figures = collect_figures(run_folder)
    assert figures["training"]["epoch"] == list(range(1, 21))
    assert "unfinished" in figures["notes"][0]


@pytest.mark.parametrize("damage", ['{"epoch": 3, "st', "[1, 2]", "\x00\x00"])
def test_a_damaged_line_is_named(run_folder, damage):
    lines = _lines(run_folder)
    lines[2] = damage
    _write_lines(run_folder, lines)
    with pytest.raises(DataError, match="Line 3 of .*retention.jsonl is dam"):
        collect_figures(run_folder)


@pytest.mark.parametrize("key", ["epoch", "step", "groups"])
def test_a_line_without_what_it_needs(run_folder, key):
    lines = _lines(run_folder)
    record = json.loads(lines[4])
    del record[key]
    lines[4] = json.dumps(record)
    _write_lines(run_folder, lines)
    with pytest.raises(DataError, match=f"Line 5 .* lacks {key}"):
        collect_figures(run_folder)


@pytest.mark.parametrize("groups", [{"a": {"size": 3}}, {"a": 3}, [1], "a"])
def test_groups_without_numbers(run_folder, groups):
    lines = _lines(run_folder)
    record = json.loads(lines[-1])
    record["groups"] = groups
    _write_lines(run_folder, [*lines[:-1], json.dumps(record)])
    (run_folder / "plan.json").unlink()
    with pytest.raises(DataError, match="damaged"):
        collect_figures(run_folder)


def test_optional_figures_may_lack(run_folder):
    record = json.loads(_lines(run_folder)[0])
    needed = {key: record[key] for key in ("epoch", "step", "groups")}
    _write_lines(run_folder, [json.dumps(needed)])
    training = collect_figures(run_folder)["training"]
    assert training["valid_wer"] == [None]
    assert training["logit_quantiles"] == {}
    assert training["logit_histogram"] is None


def test_nan_becomes_none(run_folder):
    lines = _lines(run_folder)
    record = json.loads(lines[0])
    record["valid_wer"] = float("nan")
    _write_lines(run_folder, [json.dumps(record), *lines[1:]])
    assert collect_figures(run_folder)["training"]["valid_wer"][0] is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"splits": 3}', "\udcff"])
def test_damaged_results(run_folder, text):
    data = text.encode("utf-8", "surrogateescape")
    (run_folder / "results.json").write_bytes(data)
    with pytest.raises(DataError, match="results.json"):
        collect_figures(run_folder)


def test_a_damaged_plan(run_folder):
    text = (run_folder / "plan.json").read_text()
    (run_folder / "plan.json").write_text(text[: len(text) // 2])
    with pytest.raises(PlanError, match="plan.json"):
        collect_figures(run_folder)


def test_a_missing_folder(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        collect_figures(tmp_path / "nowhere")


def test_a_folder_that_is_no_run(tmp_path):
    (tmp_path / "letter.txt").write_text("Dear reader")
    with pytest.raises(DataError, match="is not a run"):
        collect_figures(tmp_path)


def test_places():
    prefix = "encoder.layers.0"
    assert place_of(f"{prefix}.ffn_module1") == "FFN 1"
    assert place_of(f"{prefix}.mha_layer.value") == "value"
    assert place_of(f"{prefix}.convolution_module") == "conv"
    assert place_of("dnn.blocks.0.linear") == "units"


def test_blocks_are_numbered_in_forward_order():
    groups = ["b.3.query", "b.3.value", "b.7.value", "a.0.value", "head"]
    assert list(block_numbers(groups).values()) == [1, 1, 2, 3, 4]


def test_an_analysis_alone(analysis_folder):
    figures = collect_figures(analysis_folder)
    assert figures["name"] == "analysis"
    assert figures["training"] is figures["results"] is None
    assert figures["analysis"]["criteria"] == ["mi", "obs"]
    assert figures["adaptation"] == {"curves": None, "systems": None}
    assert figures["notes"] == []
    write_json(analysis_folder / "figures.json", figures)


def test_an_adaptation_alone(adaptation_folder):
    path = adaptation_folder / "adaptation.jsonl"
    path.write_text(path.read_text() + '{"epo')
    figures = collect_figures(adaptation_folder)
    assert figures["analysis"] is None
    assert list(figures["adaptation"]["curves"]) == ["neurons", "all"]
    assert figures["notes"] == [
        "The last line of adaptation.jsonl is unfinished: left out."
    ]


def test_a_training_run_has_neither(run_folder):
    figures = collect_figures(run_folder)
    assert figures["analysis"] is None
    assert figures["adaptation"] == {"curves": None, "systems": None}

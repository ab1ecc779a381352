"""Tests of the selective step's benchmark, not of speed.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import json

import pytest
import torch

from speechbrain_neuronprune import selective_update
from speechbrain_neuronprune.units import count_parameters


@pytest.fixture
def script(load_benchmark):
    return load_benchmark("selective_step")


def test_table_and_json(script, tmp_path, capsys):
    output = tmp_path / "out" / "selective_step.json"
    script.main(
        ["--sizes", "tiny", "--rounds", "2", "--cpu-time"]
        + ["--output", str(output)]
    )
    content = json.loads(output.read_text())
    [row] = content["rows"]
    assert (content["threads"], content["clock"]) == (1, "process_time")
    assert set(row["median_ms"]) == {"full", "selective", "outgoing"}
    assert set(row["switch_ms"]) == {"one", "two", "None"}
    assert row["rounds"] == 2
    assert 0 < row["patch_share"] < row["outgoing_patch_share"]
    assert content["met"] == (row["selective_over_full"] <= 1)
    assert content["share_met"] == (row["patch_share"] < 0.12)
    table = capsys.readouterr().out
    assert "Bar: selective / full <= 1.0" in table
    assert "Bar: patch / model < 12 %" in table


def test_twelve_percent_of_two_layers_are_chosen(script):
    chosen = script.choose(script.SIZES["tiny"])
    assert list(chosen) == ["fc.linear1", "fc.linear2"]
    for one in chosen.values():
        assert (one.hypo.sum(), one.hyper.sum()) == (2, 1)
        assert one.chosen.float().mean().item() == pytest.approx(0.12)


def test_a_selective_step_changes_the_chosen_neurons_only(script):
    size = script.SIZES["tiny"]
    model = script.build_model(size)
    before = {name: p.clone() for name, p in model.state_dict().items()}
    chosen = script.choose(size)
    update = selective_update(model, chosen)
    x, y = torch.randn(2, 10, 40), torch.randint(8, (20,))
    script.training_step(model, update.parameters(), x, y)()
    update.finish()
    for name, now in model.state_dict().items():
        changed = now != before[name]
        layer, _, kind = name.rpartition(".")
        if layer in chosen:
            rows = changed.flatten(1).any(1) if kind == "weight" else changed
            assert torch.equal(rows, chosen[layer].chosen)
        else:
            assert not changed.any()


def test_a_full_step_changes_everything(script):
    size = script.SIZES["tiny"]
    model = script.build_model(size)
    before = {name: p.clone() for name, p in model.state_dict().items()}
    x, y = torch.randn(2, 10, 40), torch.randint(8, (20,))
    script.training_step(model, model.parameters(), x, y)()
    for name, now in model.state_dict().items():
        assert (now != before[name]).float().mean() > 0.9


def test_the_compared_steps_are_of_different_models(script):
    size = script.SIZES["tiny"]
    model = script.build_model(size)
    before = {name: p.clone() for name, p in model.state_dict().items()}
    for step in script.build_steps(model, size, "cpu").values():
        step()
    for name, now in model.state_dict().items():
        assert torch.equal(now, before[name])


def test_the_share_of_the_file_is_that_of_the_parameters(script):
    size = script.Size(3, 300, 8, 16, 41, batch=1, frames=1, rounds=1)
    model = script.build_model(size)
    for outgoing in (False, True):
        patch = script.make_patch(model, size, outgoing)
        share = script.share_of_file(model, patch)
        # In the outgoing patch, crossings of rows and columns stand twice.
        expected = patch.parameters / count_parameters(model)
        assert share == pytest.approx(expected, rel=0.05)
        assert outgoing or share < 0.12


def test_a_patch_negates_what_it_sets(script):
    size = script.SIZES["tiny"]
    model = script.build_model(size)
    for entry in script.make_patch(model, size).entries:
        now = model.get_parameter(entry.parameter)[entry.index]
        assert torch.equal(entry.values, -now)


def test_an_unknown_size_is_refused(script, capsys):
    with pytest.raises(SystemExit) as stop:
        script.main(["--sizes", "huge"])
    assert stop.value.code == 2
    assert "invalid choice: 'huge'" in capsys.readouterr().err

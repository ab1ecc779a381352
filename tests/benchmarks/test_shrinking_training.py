"""Trainings that are measured: what is run, anew or not, and the table."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from hyperpyyaml import load_hyperpyyaml
from torch import nn

from speechbrain_neuronprune.units import count_parameters


@pytest.fixture
def script(load_benchmark):
    return load_benchmark("shrinking_training")


def parse(script, tmp_path, *more):
    options = ["--output", str(tmp_path), "--seeds", "1", "2", *more]
    return script.parse(["corpus", "--steps", "800", *options])


def test_the_arms_differ_in_when_units_leave_alone(script, tmp_path):
    options = parse(script, tmp_path)
    dense, fast, late, shrinking = (
        script.changes_of(arm, options) for arm in script.ARMS
    )
    assert fast == dense
    assert {k for k in late if late[k] != shrinking[k]} == {"shrink"}
    assert late["settle_step"] == 240
    assert late["hold_steps"] + late["decline_steps"] < late["settle_step"]
    sizes = {"d_model": 96, "d_ffn": 384}
    assert dense.items() <= (late | sizes).items()


def test_the_dense_model_is_as_large_as_the_one_that_shrinks(script, tmp_path):
    options, sizes = parse(script, tmp_path), []
    for arm in ("dense", "late"):
        path = script.yaml_of(arm, tmp_path).with_suffix(".yaml")
        overrides = {"data_folder": "x", "output_folder": str(tmp_path / "run")}
        overrides |= script.changes_of(arm, options)
        overrides.pop("shrink_every", None)
        with open(path, encoding="utf-8") as file:
            modules = load_hyperpyyaml(file, overrides)["modules"]
        sizes.append(sum(map(count_parameters, modules.values())))
    assert sizes[0] == sizes[1]


@pytest.mark.parametrize("arm", ["dense", "fast dense", "shrinking"])
def test_a_yaml_names_the_brain_that_measures(script, tmp_path, arm):
    path = script.yaml_of(arm, tmp_path).with_suffix(".yaml")
    overrides = {"data_folder": "x", "output_folder": str(tmp_path / "run")}
    options = parse(script, tmp_path)
    overrides |= script.changes_of(arm, options)
    overrides.pop("shrink_every", None)
    with open(path, encoding="utf-8") as file:
        hparams = load_hyperpyyaml(file, overrides)
    assert hparams["brain_class"].__name__ == "TimedASR"
    assert hparams["fast_layers"] == (arm == "fast dense")


def test_a_run_that_was_stopped_begins_anew(script, tmp_path, monkeypatch):
    ran = []
    monkeypatch.setattr(script, "run_recipe", lambda *given: ran.append(given))
    options = parse(script, tmp_path)
    for seed, left in ((1, "output.txt"), (2, "training.json")):
        folder = tmp_path / f"late-{seed}"
        folder.mkdir()
        (folder / left).write_text("{}")
        script.train(options, "late", seed)
        assert (folder / left).exists() == (left == "training.json")
    assert [given[2] for given in ran] == [1, 2]
    assert Path(ran[0][3] + ".yaml").is_file()


def write_run(folder, seconds, key, errors):
    folder.mkdir()
    cost = {"seconds": seconds, "cpu_seconds": 2 * seconds, "peak_mb": 100.0}
    (folder / "training.json").write_text(json.dumps(cost))
    utterances = {f"u{i:02}": [errors, 5] for i in range(20)}
    split = {"wer": 20.0 * errors, "utterances": utterances}
    sizes = {key: {"parameters": 1000, "splits": {"dev": split}}}
    (folder / "sizes.json").write_text(json.dumps(sizes))


def test_the_table(script, tmp_path, capsys, monkeypatch):
    for seed in (1, 2):
        write_run(tmp_path / f"dense-{seed}", 100.0 * seed, "dense", 1)
        write_run(tmp_path / f"fast-dense-{seed}", 90.0 * seed, "dense", 1)
        write_run(tmp_path / f"late-{seed}", 110.0 * seed, "0.46", 1)
        write_run(tmp_path / f"shrinking-{seed}", 70.0 * seed, "0.46", 2)
    monkeypatch.setattr(script, "train_all", lambda *given: None)
    script.main(["corpus", "--output", str(tmp_path), "--seeds", "1", "2"])
    summary = json.loads((tmp_path / "shrinking.json").read_text())
    ratio = summary["rows"]["shrinking"]["seconds to dense"]
    assert ratio["mean"] == pytest.approx(0.7)
    assert summary["met"] == {
        "at most 0.75 of the dense seconds": True,
        "at most 0.75 of the dense cpu_seconds": True,
        "no more memory": True,
        "the error rate of late compaction on dev": False,
    }
    text = capsys.readouterr().out
    assert "| late | 1,000 | 165 | 1.10 ± 0.00 |" in text
    assert "of late compaction on dev: missed" in text


@pytest.mark.parametrize("fast", [False, True])
def test_a_training_is_measured_once(
    load_benchmark, tmp_path, monkeypatch, fast
):
    timed = load_benchmark("timed_training")
    monkeypatch.setattr(timed.AdaptiveDropoutASR, "fit", lambda self: None)
    brain = object.__new__(timed.TimedASR)
    brain.hparams = SimpleNamespace(
        output_folder=str(tmp_path), fast_layers=fast
    )
    brain.modules = nn.ModuleDict({"drop": nn.Dropout(0.1)})
    brain.optimizer_step = 5
    brain.fit()
    assert (type(brain.modules["drop"]) is not nn.Dropout) == fast
    cost = json.loads((tmp_path / "training.json").read_text())
    assert 0.0 <= cost["seconds"] < 10.0 and cost["peak_mb"] > 50.0
    assert cost["steps"] == 5
    brain.fit()
    assert json.loads((tmp_path / "training.json").read_text()) == cost

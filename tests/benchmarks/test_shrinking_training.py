"""Trainings that are measured: what is run, anew or not, and the table."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from hyperpyyaml import load_hyperpyyaml
from torch import nn

from speechbrain_neuronprune.units import count_parameters

HPARAMS = Path(__file__).parents[2] / "hparams"


@pytest.fixture
def script(load_benchmark):
    return load_benchmark("shrinking_training")


def parse(script, tmp_path, *more):
    options = ["--output", str(tmp_path), "--seeds", "1", "2", *more]
    return script.parse(["corpus", "--steps", "800", *options])


def test_the_arms_differ_in_when_units_leave_alone(script, tmp_path):
    options = parse(script, tmp_path)
    dense, fast, late, shrinking, _ = (
        script.changes_of(arm, options) for arm in script.ARMS
    )
    assert {k for k in fast if fast[k] != dense[k]} == {"brain_class"}
    assert {k for k in late if late[k] != shrinking[k]} == {"shrink"}
    assert late["settle_step"] == 240
    assert late["hold_steps"] + late["decline_steps"] < late["settle_step"]
    sizes = {"d_model": 96, "d_ffn": 384}
    assert dense.items() <= (late | sizes).items()


def hparams_of(script, arm, tmp_path):
    changes = script.changes_of(arm, parse(script, tmp_path))
    changes |= {"data_folder": "x", "output_folder": str(tmp_path / "run")}
    text = "\n".join(f"{key}: {value}" for key, value in changes.items())
    path = HPARAMS / f"{script.yaml_of(arm)}.yaml"
    with open(path, encoding="utf-8") as file:
        return load_hyperpyyaml(file, text)


def test_the_dense_model_is_as_large_as_the_one_that_shrinks(script, tmp_path):
    dense, late = (
        sum(map(count_parameters, hparams["modules"].values()))
        for hparams in (
            hparams_of(script, arm, tmp_path) for arm in ("dense", "late")
        )
    )
    assert dense == late


def test_informed_gates_decide_when_their_yaml_says(script, tmp_path):
    hparams = hparams_of(script, "informed", tmp_path)
    assert hparams["settle_step"] == 420 and hparams["hold_steps"] == 320
    assert hparams["gate"].__name__ == "InformedDropout"
    assert hparams["target_parameters"] == 0.46 and hparams["shrink"]


@pytest.mark.parametrize(
    "arm", ["dense", "fast dense", "late", "shrinking", "informed"]
)
def test_a_brain_measures(script, tmp_path, arm):
    brain = hparams_of(script, arm, tmp_path)["brain_class"]
    fast = {"fast dense": "FastTimedASR"}
    assert brain.__name__ == fast.get(arm, "TimedASR")


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
    assert ran[0][3] == "conformer_ctc_mini"


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
        write_run(tmp_path / f"informed-{seed}", 80.0 * seed, "0.46", 1)
    monkeypatch.setattr(script, "train_all", lambda *given: None)
    script.main(["corpus", "--output", str(tmp_path), "--seeds", "1", "2"])
    summary = json.loads((tmp_path / "shrinking.json").read_text())
    ratio = summary["rows"]["shrinking"]["seconds to dense"]
    assert ratio["mean"] == pytest.approx(0.7)
    assert summary["met"]["shrinking"] == {
        "at most 0.75 of the dense seconds": True,
        "at most 0.75 of the dense cpu_seconds": True,
        "no more memory": True,
        "no more errors than dense on dev": False,
        "the error rate of late compaction on dev": False,
    }
    assert summary["met"]["informed"] == {
        "at most 0.75 of the dense seconds": False,
        "at most 0.75 of the dense cpu_seconds": False,
        "no more memory": True,
        "no more errors than dense on dev": True,
        "the error rate of late compaction on dev": True,
    }
    text = capsys.readouterr().out
    assert "| late | 1,000 | 165 | 1.10 ± 0.00 |" in text
    assert "shrinking: the error rate of late compaction on dev: missed" in text


@pytest.mark.parametrize("fast", [False, True])
def test_a_training_is_measured_once(
    load_benchmark, tmp_path, monkeypatch, fast
):
    timed = load_benchmark("timed_training")
    monkeypatch.setattr(timed.AdaptiveDropoutASR, "fit", lambda self: None)
    brain = object.__new__(timed.FastTimedASR if fast else timed.TimedASR)
    brain.hparams = SimpleNamespace(output_folder=str(tmp_path))
    brain.modules = nn.ModuleDict({"drop": nn.Dropout(0.1)})
    brain.optimizer_step = 5
    brain.fit()
    assert (type(brain.modules["drop"]) is not nn.Dropout) == fast
    cost = json.loads((tmp_path / "training.json").read_text())
    assert 0.0 <= cost["seconds"] < 10.0 and cost["peak_mb"] > 50.0
    assert cost["steps"] == 5
    brain.fit()
    assert json.loads((tmp_path / "training.json").read_text()) == cost

"""The comparison's arithmetic, on runs whose figures are made up."""

import json
import subprocess

import numpy as np
import pytest


@pytest.fixture
def runs(tmp_path, load_benchmark):
    """Folders of finished runs: 20 utterances of 5 words; dense has one
    error in each, the pruned model in every other one."""
    module = load_benchmark("real_speech")

    def figures(parameters, errors):
        utterances = {f"u{i:02}": [errors(i), 5] for i in range(20)}
        wrong = sum(e for e, _ in utterances.values())
        wer = 100 * wrong / 100
        split = {"wer": wer, "utterances": utterances}
        return {"parameters": parameters, "splits": {"dev": split}}

    sizes = {
        "dense": {"dense": figures(1000, lambda i: 1)},
        "adaptive dropout 0.45": {
            "dense": figures(1000, lambda i: 1),
            "0.45": figures(450, lambda i: i % 2),
        },
        "narrow 0.45": {"dense": figures(450, lambda i: 2)},
    }
    for arm, content in sizes.items():
        for seed in (1, 2):
            folder = module.run_folder(tmp_path, arm, seed)
            folder.mkdir()
            (folder / "sizes.json").write_text(json.dumps(content))
    words = ["nowhere", "--output", str(tmp_path), "--seeds", "1", "2"]
    words += ["--arms", *sizes]
    options = module.parse(words)
    return module, options


def test_rows_sizes_and_rates(runs):
    module, options = runs
    rows = module.summarize(options)["rows"]
    assert list(rows) == ["dense", "adaptive dropout 0.45", "narrow 0.45"]
    assert rows["adaptive dropout 0.45"]["share"] == 0.45
    assert rows["dense"]["dev"]["mean"] == 20.0
    assert rows["narrow 0.45"]["dev"]["mean"] == 40.0


def test_differences_are_paired(runs):
    module, options = runs
    row = module.summarize(options)["rows"]["adaptive dropout 0.45"]["dev"]
    gap = row["to dense"]
    assert gap["difference"] == pytest.approx(-10.0)
    assert gap["low"] < -10.0 < gap["high"] < 0.0
    assert row["to narrow"]["difference"] == pytest.approx(-30.0)


def test_no_difference_has_an_interval_of_zero(runs):
    module, options = runs
    table = module.collect(options)
    gap = module.difference(table["dense"], table["dense"], "dev")
    assert gap == {"difference": 0.0, "low": 0.0, "high": 0.0}


def test_finished_runs_are_not_run_again(runs, monkeypatch):
    module, options = runs
    monkeypatch.setattr(subprocess, "run", None)  # would raise
    module.train_all(options, options.arms, module.train)


def test_main_writes_table_and_plot(runs, monkeypatch, capsys):
    module, options = runs
    monkeypatch.setattr(module, "parse", lambda *_: options)
    module.main([])
    assert "adaptive dropout 0.45 | 450 | 45.0%" in capsys.readouterr().out
    summary = json.loads((options.output / "comparison.json").read_text())
    assert np.isclose(summary["rows"]["dense"]["dev"]["spread"], 0.0)
    assert (options.output / "comparison.png").stat().st_size > 1000


@pytest.mark.parametrize("arm", ["dense", "adaptive dropout 0.45"])
def test_one_arm_alone_has_a_plot(runs, arm, tmp_path):
    module, options = runs
    summary = module.summarize(options)
    summary["rows"] = {arm: summary["rows"][arm]}
    module.plot(summary, tmp_path / "comparison.png")
    assert (tmp_path / "comparison.png").stat().st_size > 1000

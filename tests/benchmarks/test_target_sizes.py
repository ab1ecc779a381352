"""Which trainings run, and what is read from them.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import json

import pytest


@pytest.fixture
def target_sizes(load_benchmark):
    return load_benchmark("target_sizes")


def write_training(folder, sizes, offset, compact):
    """The files of a training whose decline ends after the first epoch."""
    folder.mkdir()
    lines = [
        {
            "c": 4.0 if epoch == 0 else -2.0 + offset,
            "c_offset": offset,
            "kept_parameters": size,
            "valid_wer": 5.0,
        }
        for epoch, size in enumerate(sizes)
    ]
    log = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "retention.jsonl").write_text(log)
    cost = {
        "dense": {"parameters": 1000},
        "compact": {"parameters": compact},
    }
    (folder / "results.json").write_text(json.dumps({"cost": cost}))
    (folder / "sizes.json").write_text("{}")  # complete


def test_the_table(target_sizes, tmp_path, capsys):
    write_training(tmp_path / "steered-0.3-1", [999, 305, 300], -1.5, 303)
    write_training(tmp_path / "unsteered-1", [999, 630, 750], 0.0, 740)
    options = ["corpus", "--output", str(tmp_path), "--seeds", "1"]
    target_sizes.main([*options, "--arms", "steered 0.3", "unsteered"])
    steered, free = json.loads((tmp_path / "target_sizes.json").read_text())
    assert steered["after the decline"] == [0.305, 0.3, 0.305, 0.3]
    assert (steered["wanted"], free["wanted"]) == (0.3, None)
    assert free["landed"] == 0.74
    printed = capsys.readouterr().out
    assert "| 30.30% | +1.00% | 30.50% | 30.00% to 30.50% |" in printed


def test_what_the_recipe_is_told(target_sizes, tmp_path, monkeypatch):
    told = {}

    def record(arguments, arm, seed, yaml, changes):
        told[arm] = changes

    monkeypatch.setattr(target_sizes, "run_recipe", record)
    parse = target_sizes.trainings.parse
    options = parse(["corpus", "--steps", "400"], "", target_sizes.ARMS)
    for arm in target_sizes.ARMS:
        target_sizes.train(options, arm, 1)
    assert told["steered 0.46"]["steer_size"] is True
    assert "steer_size" not in told["unsteered"]
    assert {changes["number_of_epochs"] for changes in told.values()} == {5}
    assert all("threshold" not in changes for changes in told.values())

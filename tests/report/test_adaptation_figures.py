"""What an adaptation wrote, as plots and tables want it.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import json

import pytest

from speechbrain_neuronprune.errors import DataError
from speechbrain_neuronprune.report.adaptation_figures import (
    read_curves,
    read_systems,
)


def log(folder, *lines):
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "adaptation.jsonl").write_text(text)


def test_curves_by_stage(adaptation_folder):
    curves, notes = read_curves(adaptation_folder)
    assert list(curves) == ["neurons", "all"]
    assert curves["all"]["epoch"] == [1, 2, 3]
    assert curves["all"]["step"] == [40, 80, 120]
    assert curves["all"]["loss_held_back"] == pytest.approx(
        [2.5, 1.25, 2.5 / 3]
    )
    assert curves["all"]["wer"]["reverb"] == [39, 38, 37]
    assert notes == []


def test_what_is_unknown_is_none(tmp_path):
    log(
        tmp_path,
        {"epoch": 1, "wer": {"dev": 9.0}},
        {"epoch": 2, "wer": {"reverb": 40.0}, "loss_held_back": 0.5},
        {"epoch": 3},
    )
    curves, _ = read_curves(tmp_path)
    assert curves == {
        "adaptation": {
            "epoch": [1, 2, 3],
            "step": [None] * 3,
            "loss_train": [None] * 3,
            "loss_held_back": [None, 0.5, None],
            "wer": {"dev": [9.0, None, None], "reverb": [None, 40.0, None]},
        }
    }


def test_a_repeated_epoch_counts_once(tmp_path):
    lines = [{"stage": "A", "epoch": n, "step": n} for n in (1, 2)]
    log(tmp_path, *lines, {"stage": "A", "epoch": 2, "step": 7})
    assert read_curves(tmp_path)[0]["A"]["step"] == [1, 7]


@pytest.mark.parametrize(
    ("losses", "in_vain"),
    [
        ([1.0, 1.5, 1.2], True),
        ([1.0, 1.0], True),
        ([1.0, 0.9, 1.2], False),
        ([1.0], False),  # no epoch is over yet
    ],
)
def test_a_stage_that_ended_where_it_began_is_noted(tmp_path, losses, in_vain):
    lines = [
        {"stage": "round1/stage1", "epoch": n, "loss_held_back": loss}
        for n, loss in enumerate(losses)
    ]
    log(tmp_path, *lines)
    curves, notes = read_curves(tmp_path)
    assert curves["round1/stage1"]["epoch"] == list(range(len(losses)))
    assert [("No epoch of round1/stage1 lowered" in n) for n in notes] == (
        [True] if in_vain else []
    )


@pytest.mark.parametrize("start_counts", [True, False])
def test_what_is_taken_then_depends_on_the_run(tmp_path, start_counts):
    request = {"start_counts": start_counts}
    (tmp_path / "request.json").write_text(json.dumps(request))
    lines = [{"epoch": n, "loss_held_back": float(n)} for n in (0, 1)]
    log(tmp_path, *lines)
    [note] = read_curves(tmp_path)[1]
    assert ("the model that it began with" in note) == start_counts


def test_a_log_without_the_start_tells_nothing_about_it(tmp_path):
    lines = [{"epoch": n, "loss_held_back": float(n)} for n in (1, 2)]
    log(tmp_path, *lines)
    assert read_curves(tmp_path)[1] == []


def test_nothing_yet(tmp_path):
    assert read_curves(tmp_path) == (None, [])
    assert read_systems(tmp_path) is None
    log(tmp_path)
    assert read_curves(tmp_path) == (None, [])


def test_a_line_without_epoch(tmp_path):
    log(tmp_path, {"epoch": 1}, {"stage": "A"})
    with pytest.raises(
        DataError, match="Line 2 of .*jsonl is damaged: it lack"
    ):
        read_curves(tmp_path)


def test_a_damaged_line(tmp_path):
    (tmp_path / "adaptation.jsonl").write_text('{"epoch": \n{"epoch": 2}\n')
    with pytest.raises(DataError, match="Line 1 of .*adaptation.jsonl is dama"):
        read_curves(tmp_path)


def test_systems(adaptation_folder):
    systems = read_systems(adaptation_folder)
    assert list(systems) == ["baseline", "A", "B"]
    assert systems["B"] == {"dev": 12.6, "reverb": 32.8}


def test_systems_with_more_than_rates(tmp_path):
    content = {
        "model": "B",
        "seed": 3,
        "empty": {},
        "before": {"dev": {"wer": 9.1, "utterances": {"a": [0, 1]}}},
        "after": {"dev": {"wer": None}, "reverb": {"wer": 32.8}, "ok": True},
    }
    (tmp_path / "adaptation.json").write_text(json.dumps(content))
    assert read_systems(tmp_path) == {
        "before": {"dev": 9.1},
        "after": {"reverb": 32.8},
    }


def test_damaged_systems(tmp_path):
    (tmp_path / "adaptation.json").write_text("[]")
    with pytest.raises(DataError, match="adaptation.json is damaged"):
        read_systems(tmp_path)

"""Trainings that go on where another one has ended."""

import pytest


@pytest.fixture
def trunks(load_benchmark):
    return load_benchmark("trunks")


@pytest.fixture
def trunk(tmp_path):
    """What a training that has ended left."""
    folder = tmp_path / "trunk"
    (folder / "save" / "CKPT+1").mkdir(parents=True)
    (folder / "save" / "CKPT+1" / "model.ckpt").write_text("weights")
    (folder / "retention.jsonl").write_text("{}")
    (folder / "results.json").write_text("the trunk's own")
    return folder


def test_checkpoints_and_logs_go_along_and_results_stay(
    trunks, trunk, tmp_path
):
    folder = tmp_path / "branch"
    trunks.begin_with(trunk, folder)
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["retention.jsonl", "save"]
    assert (folder / "save/CKPT+1/model.ckpt").read_text() == "weights"


def test_a_training_that_has_begun_is_left_alone(trunks, trunk, tmp_path):
    folder = tmp_path / "branch"
    trunks.begin_with(trunk, folder)
    (folder / "save" / "CKPT+1" / "model.ckpt").write_text("later weights")
    trunks.begin_with(trunk, folder)
    assert (folder / "save/CKPT+1/model.ckpt").read_text() == "later weights"


def test_a_copy_that_was_interrupted_begins_again(trunks, trunk, tmp_path):
    half = tmp_path / "branch" / "save-unfinished"
    (half / "CKPT+0").mkdir(parents=True)
    trunks.begin_with(trunk, tmp_path / "branch")
    saved = tmp_path / "branch" / "save"
    assert [path.name for path in saved.iterdir()] == ["CKPT+1"]
    assert not half.exists()

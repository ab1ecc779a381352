"""Trainings that go on where another one has ended."""

import pytest
import torch
from speechbrain.utils.checkpoints import Checkpointer


@pytest.fixture
def trunks(load_benchmark):
    return load_benchmark("trunks")


@pytest.fixture
def trunk(tmp_path):
    """What a training of three epochs left."""
    folder = tmp_path / "trunk"
    weights = torch.nn.Linear(1, 1)
    checkpointer = Checkpointer(folder / "save", {"model": weights})
    for epoch in (1, 2, 3):
        checkpointer.save_checkpoint({"epoch": epoch}, name=f"{epoch}")
    checkpointer.save_checkpoint({}, name="within")
    (folder / "save" / "train.csv").write_text("speech")
    (folder / "train_log.txt").write_text("one\ntwo\nthree\n")
    (folder / "results.json").write_text("the trunk's own")
    return folder


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("epochs", [2, 3])
def test_checkpoints_and_logs_go_along_and_results_stay(
    trunks, trunk, tmp_path, epochs
):
    folder = tmp_path / "branch"
    trunks.begin_with(trunk, folder, epochs)
    assert names_in(folder) == ["save", "train_log.txt"]
    checkpoints = [f"CKPT+{epoch}" for epoch in (1, 2, 3)][:epochs]
    assert names_in(folder / "save") == [*checkpoints, "train.csv"]
    lines = (folder / "train_log.txt").read_text().split()
    assert lines == ["one", "two", "three"][:epochs]
    assert len(names_in(trunk / "save")) == 5


def test_a_training_that_has_begun_is_left_alone(trunks, trunk, tmp_path):
    folder = tmp_path / "branch"
    trunks.begin_with(trunk, folder, 3)
    (folder / "save" / "CKPT+4").mkdir()
    trunks.begin_with(trunk, folder, 2)
    assert "CKPT+4" in names_in(folder / "save")


def test_a_copy_that_was_interrupted_begins_again(trunks, trunk, tmp_path):
    half = tmp_path / "branch" / "save-unfinished"
    (half / "CKPT+0").mkdir(parents=True)
    trunks.begin_with(trunk, tmp_path / "branch", 1)
    assert names_in(tmp_path / "branch" / "save") == ["CKPT+1", "train.csv"]
    assert not half.exists()


def test_an_epoch_without_checkpoint_is_named(trunks, trunk, tmp_path):
    with pytest.raises(SystemExit, match=r"epoch 4, but of \[1, 2, 3\]"):
        trunks.begin_with(trunk, tmp_path / "branch", 4)
    assert not (tmp_path / "branch" / "save").exists()

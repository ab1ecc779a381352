"""Checkpoints that are complete or absent, and averages of the right ones.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import pytest
import torch

from speechbrain_neuronprune.errors import TrainingError
from speechbrain_neuronprune.training.checkpoints import (
    AtomicCheckpointer,
    load_final_average,
)


@pytest.fixture
def model():
    return torch.nn.Linear(2, 1, bias=False)


@pytest.fixture
def checkpointer(tmp_path, model):
    return AtomicCheckpointer(tmp_path / "save", {"model": model})


def save(checkpointer, model, value, **meta):
    torch.nn.init.constant_(model.weight, value)
    return checkpointer.save_checkpoint(meta=meta)


class Failing:
    """A thing that cannot be saved, as if killed meanwhile."""


def fail(thing, path):
    path.write_bytes(b"half")
    raise KeyboardInterrupt


def test_an_interrupted_checkpoint_is_not_seen(checkpointer, model):
    saved = save(checkpointer, model, 1.0)
    checkpointer.add_recoverable(
        "failing", Failing(), custom_save_hook=fail, custom_load_hook=fail
    )
    with pytest.raises(KeyboardInterrupt):
        save(checkpointer, model, 2.0)
    assert [c.path for c in checkpointer.list_checkpoints()] == [saved.path]
    del checkpointer.recoverables["failing"]
    checkpointer.recover_if_possible()
    assert model.weight.eq(1.0).all()


def test_the_next_save_clears_the_remains(checkpointer, model):
    remains = checkpointer.checkpoints_dir / "unfinished-CKPT+x"
    remains.mkdir()
    save(checkpointer, model, 1.0)
    assert not remains.exists()


def test_saved_paths_are_final(checkpointer, model):
    saved = save(checkpointer, model, 1.0)
    assert saved.paramfiles["model"].exists()
    assert saved.path.name.startswith("CKPT+")


def test_only_the_most_recent_are_kept(checkpointer, model):
    for value in range(5):
        torch.nn.init.constant_(model.weight, float(value))
        checkpointer.save_and_keep_only(num_to_keep=2)
    assert len(checkpointer.list_checkpoints()) == 2
    checkpointer.recover_if_possible()
    assert model.weight.eq(4.0).all()


@pytest.mark.parametrize("damage", [b"", b"not a checkpoint"])
def test_a_damaged_checkpoint_is_named(checkpointer, model, damage):
    saved = save(checkpointer, model, 1.0)
    saved.paramfiles["model"].write_bytes(damage)
    with pytest.raises(TrainingError, match="delete that folder") as error:
        checkpointer.recover_if_possible()
    assert str(saved.path) in str(error.value)


def test_a_checkpoint_of_another_model_is_named(checkpointer, model):
    saved = save(checkpointer, model, 1.0)
    other = AtomicCheckpointer(
        checkpointer.checkpoints_dir, {"model": torch.nn.Linear(3, 1)}
    )
    with pytest.raises(TrainingError, match="size mismatch|Missing key"):
        other.recover_if_possible()
    assert saved.path.exists()


def test_the_average_leaves_out_the_time_before_pruning(checkpointer, model):
    save(checkpointer, model, 100.0, final_phase=False)
    for value in (1.0, 2.0, 6.0):
        save(checkpointer, model, value, final_phase=True)
    assert len(load_final_average(checkpointer, "model", 2)) == 2
    assert model.weight.eq(4.0).all()
    assert len(load_final_average(checkpointer, "model", 9)) == 3
    assert model.weight.eq(3.0).all()


def test_a_run_cut_short_is_not_averaged(checkpointer, model):
    save(checkpointer, model, 1.0, final_phase=False)
    save(checkpointer, model, 2.0)
    assert len(load_final_average(checkpointer, "model", 9)) == 1
    assert model.weight.eq(2.0).all()


def test_a_shared_module_is_averaged_once(tmp_path):
    shared = torch.nn.BatchNorm1d(2)
    model = torch.nn.ModuleList([shared, shared])
    checkpointer = AtomicCheckpointer(tmp_path / "save", {"model": model})
    for value in (1.0, 3.0):
        shared.running_mean.fill_(value)
        checkpointer.save_checkpoint(meta={"final_phase": True})
    load_final_average(checkpointer, "model", 2)
    assert shared.running_mean.eq(2.0).all()


def test_nothing_to_average_is_an_error(checkpointer):
    with pytest.raises(TrainingError, match="There is no checkpoint in"):
        load_final_average(checkpointer, "model", 1)


def test_a_name_may_be_given_again(checkpointer, model):
    for value in (1.0, 2.0):
        torch.nn.init.constant_(model.weight, value)
        saved = checkpointer.save_checkpoint(name="best")
    assert [c.path for c in checkpointer.list_checkpoints()] == [saved.path]
    assert list(checkpointer.checkpoints_dir.iterdir()) == [saved.path]
    torch.nn.init.zeros_(model.weight)
    checkpointer.recover_if_possible()
    assert model.weight.eq(2.0).all()

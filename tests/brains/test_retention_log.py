"""Brains that log what their gates do.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import pytest

from speechbrain_neuronprune.errors import TrainingError
from tests.toy_brain import BATCHES, fit, loader


def test_a_line_per_epoch_is_logged(make_brain):
    brain = make_brain(epochs=2)
    fit(brain)
    lines = brain._retention_log.lines()
    assert [line["epoch"] for line in lines] == [1, 2]
    assert [line["step"] for line in lines] == [BATCHES, 2 * BATCHES]
    assert [line["c"] for line in lines] == [-2.0, -2.0]
    assert all(line["train_loss"] > 0 for line in lines)
    assert all(line["valid_loss"] > 0 for line in lines)


def test_the_training_log_is_numbers(make_brain):
    stats = make_brain().retention_stats()
    assert stats["c"] == 10.0
    assert stats["alive ffn"] == 4 * 24
    assert stats["expected parameters"] > 0
    assert all(isinstance(value, (int, float)) for value in stats.values())


def test_lines_of_epochs_that_run_again_are_dropped(make_brain):
    fit(make_brain(epochs=1))
    brain = make_brain(epochs=2)
    brain._retention_log.append({"epoch": 2, "from": "the killed run"})
    fit(brain)
    lines = brain._retention_log.lines()
    assert [line["epoch"] for line in lines] == [1, 2]
    assert "from" not in lines[1]


def test_the_log_goes_on_whatever_the_counter_is_called(make_brain):
    """It is the one that fit is given."""
    for epochs in (1, 3):
        brain = make_brain(epochs=epochs)
        counter = brain.hparams.epoch_counter
        brain.hparams.epoch_counter = None
        vars(brain.hparams)["counter"] = counter
        brain.fit(counter, loader(), loader(1))
    lines = brain._retention_log.lines()
    assert [line["epoch"] for line in lines] == [1, 2, 3]


def test_the_folder_of_the_log_is_made(make_brain, tmp_path):
    brain = make_brain(epochs=1)
    brain.hparams.output_folder = str(tmp_path / "results" / "new")
    fit(brain)
    assert len(brain._retention_log.lines()) == 1


def test_a_folder_that_cannot_be_made_is_named_before_training(
    make_brain, tmp_path
):
    brain = make_brain(epochs=1)
    (tmp_path / "file").touch()
    brain.hparams.output_folder = str(tmp_path / "file" / "results")
    with pytest.raises(TrainingError, match="retention log cannot be written"):
        fit(brain)
    assert brain.optimizer_step == 0

"""Stopping: the best state stays, and a checkpoint brings all of it back.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import torch

from speechbrain_neuronprune.adaptation.early_stopping import (
    EarlyStopping,
    EpochsUntilStopping,
)


def test_the_best_state_is_a_copy():
    stopping = EarlyStopping(patience=1)
    values = torch.zeros(2)
    stopping.see(1.0, {"values": values})
    values += 1.0
    assert stopping.best["values"].tolist() == [0.0, 0.0]


def test_what_is_not_better_counts_and_a_better_one_begins_anew():
    stopping = EarlyStopping(patience=2)
    dues = []
    for loss in (2.0, 2.0, 1.0, float("nan"), 3.0):
        stopping.see(loss, {})
        dues.append(stopping.is_due)
    assert dues == [False, False, False, False, True]


def fill(stopping, *losses):
    """The start, then epochs; their numbers are the states."""
    stopping.see_start(losses[0], {"epoch": torch.tensor(0)})
    for epoch, loss in enumerate(losses[1:], start=1):
        assert not stopping.is_due
        stopping.see(loss, {"epoch": torch.tensor(epoch)})
    return stopping


def test_epochs_that_are_all_worse_lead_back_to_the_start():
    stopping = fill(EarlyStopping(patience=2), 1.0, 1.2, 1.5, 1.3)
    assert stopping.is_due
    assert stopping.best["epoch"] == 0


def test_the_start_uses_up_no_patience():
    stopping = fill(EarlyStopping(patience=1), 1.0, 1.9, 1.5, 1.2, 0.9, 1.1)
    assert stopping.is_due
    assert stopping.best["epoch"] == 4


def test_a_checkpoint_brings_everything_back(tmp_path):
    first, second = EarlyStopping(2), EarlyStopping(2)
    fill(first, 1.0, 3.0, 4.0)
    first.save(tmp_path / "stopping")
    second.load(tmp_path / "stopping")
    assert (second.lowest, second.lowest_epoch, second.waited) == (1.0, 3.0, 1)
    assert second.best["epoch"] == 0


def test_epochs_end_at_the_limit_too():
    stopping = EarlyStopping(patience=1)
    epochs = EpochsUntilStopping(3, stopping)
    assert list(epochs) == [1, 2, 3]
    stopping.see(1.0, {})
    stopping.see(1.0, {})
    assert list(EpochsUntilStopping(3, stopping)) == []


def test_without_patience_the_last_finite_state_is_taken():
    stopping = EarlyStopping(patience=None)
    stopping.see_start(0.5, {"value": torch.tensor(0.0)})
    losses = (1.0, 3.0, 2.0, float("nan"))
    for epoch, loss in enumerate(losses, start=1):
        stopping.see(loss, {"value": torch.tensor(float(epoch))})
        assert not stopping.is_due
    assert stopping.best["value"].item() == 3.0

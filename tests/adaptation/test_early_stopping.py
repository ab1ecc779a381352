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


def test_a_checkpoint_brings_everything_back(tmp_path):
    first, second = EarlyStopping(2), EarlyStopping(2)
    for loss in (1.0, 2.0):
        first.see(loss, {"loss": torch.tensor(loss)})
    first.save(tmp_path / "stopping")
    second.load(tmp_path / "stopping")
    assert (second.lowest, second.waited) == (1.0, 1)
    assert second.best["loss"] == 1.0


def test_epochs_end_at_the_limit_too():
    stopping = EarlyStopping(patience=1)
    epochs = EpochsUntilStopping(3, stopping)
    assert list(epochs) == [1, 2, 3]
    stopping.see(1.0, {})
    stopping.see(1.0, {})
    assert list(EpochsUntilStopping(3, stopping)) == []

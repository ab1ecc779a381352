"""Stopping without labels: when a held-back part gets no better.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from typing import Any

import torch
from speechbrain.utils.checkpoints import (
    mark_as_loader,
    mark_as_saver,
    register_checkpoint_hooks,
)
from speechbrain.utils.epoch_loop import EpochCounter


@register_checkpoint_hooks
class EarlyStopping:
    """Remembers the best state, and says when to stop.

    Arguments
    ---------
    patience : int
        How many epochs in a row may bring nothing.

    Example
    -------
    >>> stopping = EarlyStopping(patience=2)
    >>> for loss in (3.0, 2.0, 2.5, 2.1):
    ...     stopping.see(loss, {"loss": torch.tensor(loss)})
    >>> stopping.is_due, stopping.best["loss"].item()
    (True, 2.0)
    """

    def __init__(self, patience: int = 3) -> None:
        self.patience = patience
        self.lowest = float("inf")
        self.waited = 0
        self.best: dict[str, Any] | None = None

    @property
    def is_due(self) -> bool:
        """Whether to stop."""
        return self.waited >= self.patience

    def see(self, loss: float, state: dict[str, Any]) -> None:
        """Take note of an epoch.

        Arguments
        ---------
        loss : float
            On the held-back part; the lower the better.
        state : dict
            What to go back to if this stays the best.
        """
        if loss < self.lowest:
            self.lowest, self.waited = loss, 0
            self.best = {name: value.clone() for name, value in state.items()}
        else:
            self.waited += 1

    @mark_as_saver
    def save(self, path: str) -> None:
        """Write everything into a checkpoint."""
        torch.save(
            {"lowest": self.lowest, "waited": self.waited, "best": self.best},
            path,
        )

    @mark_as_loader
    def load(self, path: str, end_of_epoch: bool = True) -> None:
        """Read it back."""
        content = torch.load(path, weights_only=True)
        self.lowest, self.waited = content["lowest"], content["waited"]
        self.best = content["best"]


class EpochsUntilStopping(EpochCounter):
    """Counts epochs until a limit, or until it is time to stop.

    Arguments
    ---------
    limit : int
        Most epochs.
    stopping : EarlyStopping
        Asked before every epoch.

    Example
    -------
    >>> stopping = EarlyStopping(patience=1)
    >>> for epoch in EpochsUntilStopping(5, stopping):
    ...     stopping.see(1.0, {})
    >>> epoch
    2
    """

    def __init__(self, limit: int, stopping: EarlyStopping) -> None:
        super().__init__(limit)
        self.stopping = stopping

    def __next__(self) -> int:
        if self.stopping.is_due:
            raise StopIteration
        return super().__next__()

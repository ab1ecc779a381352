"""Stopping without labels: when a held-back part gets no better.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import math
from typing import Any

import torch
from speechbrain.utils.checkpoints import (
    mark_as_loader,
    mark_as_saver,
    register_checkpoint_hooks,
)
from speechbrain.utils.epoch_loop import EpochCounter

SAVED = ("lowest", "lowest_epoch", "waited", "best")


@register_checkpoint_hooks
class EarlyStopping:
    """Remembers the best state, and says when to stop.

    The state before the first epoch may be the best one, too, if it was seen;
    then all the epochs lead back to it. But patience is about epochs only:
    training may begin with a loss above that of the start and fall below it.

    Arguments
    ---------
    patience : int, optional
        How many epochs in a row may bring nothing. With None there is no
        stopping, and the last state with a finite loss counts as the best:
        for learning rates that decline to zero, where states before the end
        are unfinished. The start then stays only if no epoch has a finite
        loss.

    Example
    -------
    >>> stopping = EarlyStopping(patience=2)
    >>> for loss in (3.0, 2.0, 2.5, 2.1):
    ...     stopping.see(loss, {"loss": torch.tensor(loss)})
    >>> stopping.is_due, stopping.best["loss"].item()
    (True, 2.0)
    """

    def __init__(self, patience: int | None = 3) -> None:
        self.patience = patience
        self.lowest = float("inf")
        self.lowest_epoch = float("inf")  # the start left out
        self.waited = 0
        self.best: dict[str, Any] | None = None

    @property
    def is_due(self) -> bool:
        """Whether to stop."""
        return self.patience is not None and self.waited >= self.patience

    def see_start(self, loss: float, state: dict[str, Any]) -> None:
        """Take note of the state before the first epoch: as ``see``, but at
        no cost of patience.

        Arguments
        ---------
        loss : float
            On the held-back part; the lower the better.
        state : dict
            What to go back to if this stays the best.
        """
        is_last = self.patience is None and math.isfinite(loss)
        if is_last or loss < self.lowest:
            self.lowest = loss
            self.best = {name: value.clone() for name, value in state.items()}

    def see(self, loss: float, state: dict[str, Any]) -> None:
        """Take note of an epoch.

        Arguments
        ---------
        loss : float
            On the held-back part; the lower the better.
        state : dict
            What to go back to if this stays the best.
        """
        self.see_start(loss, state)
        if loss < self.lowest_epoch:
            self.lowest_epoch, self.waited = loss, 0
        else:
            self.waited += 1

    @mark_as_saver
    def save(self, path: str) -> None:
        """Write everything into a checkpoint.

        Arguments
        ---------
        path : str
            The file to write.
        """
        content = {name: getattr(self, name) for name in SAVED}
        torch.save(content, path)

    @mark_as_loader
    def load(self, path: str, end_of_epoch: bool = True) -> None:
        """Read back what ``save`` has written.

        Arguments
        ---------
        path : str
            The file.
        end_of_epoch : bool
            Not used; SpeechBrain's checkpointer gives it.
        """
        for name, value in torch.load(path, weights_only=True).items():
            setattr(self, name, value)


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

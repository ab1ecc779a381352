"""Checkpoints that survive a kill, and the average of a run's last ones.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import contextlib
import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from speechbrain.utils.checkpoints import (
    Checkpoint,
    Checkpointer,
    average_checkpoints,
)
from speechbrain.utils.distributed import ddp_barrier, main_process_only
from speechbrain.utils.logger import get_logger

from speechbrain_neuronprune.errors import TrainingError, in_short

logger = get_logger(__name__)

UNFINISHED = "unfinished-"


class AtomicCheckpointer(Checkpointer):
    """A ``Checkpointer`` whose checkpoints are either complete or absent.

    SpeechBrain's writes file after file into the checkpoint's final folder,
    so a kill meanwhile leaves a damaged checkpoint that looks like the most
    recent one. Here the folder gets its name when it is complete.

    Example
    -------
    >>> model = torch.nn.Linear(2, 2)
    >>> folder = getfixture("tmp_path") / "save"
    >>> checkpointer = AtomicCheckpointer(folder, {"model": model})
    >>> saved = checkpointer.save_checkpoint(name="first")
    >>> [path.name for path in folder.iterdir()]
    ['CKPT+first']
    """

    def save_checkpoint(
        self, *args: Any, verbosity: int = logging.INFO, **kwargs: Any
    ) -> Checkpoint | None:
        """Save a checkpoint.

        Arguments
        ---------
        *args : Any
            As for ``Checkpointer``.
        verbosity : int
            The logging level at which it is told.
        **kwargs : Any
            As for ``Checkpointer``.

        Returns
        -------
        Checkpoint or None
            The checkpoint; None in all processes but the main one.
        """
        self._remove_unfinished()
        saved = super().save_checkpoint(
            *args, verbosity=logging.DEBUG, **kwargs
        )
        if saved is not None:  # the main process, the only one that writes
            saved = _give_name(saved)
            logger.log(verbosity, "Saved a checkpoint in %s", saved.path)
        # The others must not look for checkpoints before.
        ddp_barrier()
        return saved

    def save_and_keep_only(
        self, *args: Any, importance_keys: Sequence = (), **kwargs: Any
    ) -> None:
        """Save a checkpoint and delete others, as ``Checkpointer`` does.

        Arguments
        ---------
        *args : Any
            As for ``Checkpointer``.
        importance_keys : sequence of callable
            What the checkpoints that stay are ranked by.
        **kwargs : Any
            As for ``Checkpointer``.
        """
        # The host appends to its default list, so each call would be slower.
        super().save_and_keep_only(
            *args, importance_keys=list(importance_keys), **kwargs
        )

    @main_process_only
    def _remove_unfinished(self) -> None:
        for folder in self.checkpoints_dir.glob(f"{UNFINISHED}*"):
            shutil.rmtree(folder)

    def _new_checkpoint_dirpath(self) -> Path:
        return _unfinished(super()._new_checkpoint_dirpath())

    def _custom_checkpoint_dirpath(self, name: str) -> Path:
        return _unfinished(super()._custom_checkpoint_dirpath(name))

    def load_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Load a checkpoint like ``Checkpointer``; name a damaged one.

        Arguments
        ---------
        checkpoint : Checkpoint
            Which one.

        Raises
        ------
        TrainingError
            If it cannot be loaded.
        """
        with loading(checkpoint.path):
            super().load_checkpoint(checkpoint)


@contextlib.contextmanager
def loading(path: Path) -> Iterator[None]:
    """Explain why a checkpoint cannot be loaded.

    Arguments
    ---------
    path : Path
        The checkpoint.

    Raises
    ------
    TrainingError
        Instead of any exception of the block.

    Example
    -------
    >>> with loading("CKPT+1"):
    ...     torch.nn.Linear(1, 1).load_state_dict({})
    Traceback (most recent call last):
    ...
    speechbrain_neuronprune.errors.TrainingError: The checkpoint CKPT+1 ...
    """
    try:
        yield
    except Exception as error:
        raise TrainingError(
            f"The checkpoint {path} cannot be loaded ({in_short(error)}); "
            "delete that folder to resume from the one before, or choose "
            "another output_folder if it belongs to another model."
        ) from error


def _give_name(saved: Checkpoint) -> Checkpoint:
    """Rename the folder of a checkpoint that is complete."""
    folder = _finished(saved.path)
    if folder.exists():  # of the same custom name
        older = saved.path.with_name(saved.path.name + "-older")
        os.replace(folder, older)
        os.replace(saved.path, folder)
        shutil.rmtree(older)
    else:
        os.replace(saved.path, folder)
    files = {
        name: folder / path.name for name, path in saved.paramfiles.items()
    }
    return Checkpoint(folder, saved.meta, files)


def _unfinished(folder: Path) -> Path:
    return folder.with_name(UNFINISHED + folder.name)


def _finished(folder: Path) -> Path:
    return folder.with_name(folder.name.removeprefix(UNFINISHED))


def load_final_average(
    checkpointer: Checkpointer, name: str, number: int
) -> list[Checkpoint]:
    """Load the average of the last checkpoints of a run's final phase.

    Averaging must not mix in a checkpoint from before the pruning: only those
    whose meta data say ``final_phase: True`` count. If there are none (a run
    cut short), the most recent one is taken alone.

    Arguments
    ---------
    checkpointer : Checkpointer
        Holds the model as a recoverable.
    name : str
        Name of that recoverable.
    number : int
        How many checkpoints to average at most.

    Returns
    -------
    list of Checkpoint
        Those averaged, the most recent one first.

    Raises
    ------
    TrainingError
        If there is no checkpoint.

    Example
    -------
    >>> model = torch.nn.Linear(1, 1, bias=False)
    >>> folder = getfixture("tmp_path") / "save"
    >>> checkpointer = AtomicCheckpointer(folder, {"model": model})
    >>> for value, final in [(9.0, False), (1.0, True), (2.0, True)]:
    ...     _ = torch.nn.init.constant_(model.weight, value)
    ...     _ = checkpointer.save_checkpoint(meta={"final_phase": final})
    >>> len(load_final_average(checkpointer, "model", number=10))
    2
    >>> model.weight.item()
    1.5
    """
    complete = checkpointer.find_checkpoints(
        ckpt_predicate=lambda checkpoint: name in checkpoint.paramfiles
    )
    if not complete:
        raise TrainingError(
            f"There is no checkpoint in {checkpointer.checkpoints_dir}; train "
            "the model before you evaluate it."
        )
    final = [c for c in complete if c.meta.get("final_phase")]
    chosen = final[: max(number, 1)] or complete[:1]
    load_average(checkpointer, name, chosen)
    return chosen


def load_average(
    checkpointer: Checkpointer, name: str, chosen: Sequence[Checkpoint]
) -> None:
    """Load the average of some checkpoints into one recoverable.

    Arguments
    ---------
    checkpointer : Checkpointer
        Holds the model as a recoverable.
    name : str
        Name of that recoverable.
    chosen : sequence of Checkpoint
        What to average.
    """
    average = average_checkpoints(chosen, name, parameter_loader=_load_separate)
    checkpointer.recoverables[name].load_state_dict(average)


def _load_separate(path: Path, map_location: Any) -> dict[str, torch.Tensor]:
    """Load a state dict whose tensors share no storage: those of a module
    that sits in several places would be summed once per place."""
    state = torch.load(path, map_location=map_location)
    return {key: value.clone() for key, value in state.items()}

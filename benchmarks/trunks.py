"""Trainings that begin with a part that others have trained.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import shutil
from collections.abc import Callable
from pathlib import Path

from speechbrain.utils.checkpoints import Checkpointer

CHECKPOINTS = "save"
LOGS = ("train_log.txt", "retention.jsonl")  # a line per epoch


def begin_with(trunk: Path, folder: Path, epochs: int) -> None:
    """Let a training go on where another one was.

    Arguments
    ---------
    trunk : Path
        The output folder of the training that has ended.
    folder : Path
        That of the training that goes on; left alone if it has begun.
    epochs : int
        How many epochs of the trunk it shares; their last checkpoint must
        still be there.
    """
    checkpoints = folder / CHECKPOINTS
    if checkpoints.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    for name in LOGS:
        if (trunk / name).exists():
            lines = (trunk / name).read_text(encoding="utf-8").splitlines(True)
            text = "".join(lines[:epochs])
            (folder / name).write_text(text, encoding="utf-8")
    # Last, and in one step: a copy that was interrupted begins again.
    half = folder / f"{CHECKPOINTS}-unfinished"
    shutil.rmtree(half, ignore_errors=True)
    source = trunk / CHECKPOINTS
    shutil.copytree(
        source, half, symlinks=True, ignore=later_than(source, epochs)
    )
    half.rename(checkpoints)


def later_than(
    checkpoints: Path, epochs: int
) -> Callable[[str, list[str]], set[str]]:
    """What to leave out of a copy: checkpoints of later epochs, and those
    within one. Refuses if that leaves none of the last epoch."""
    saved = Checkpointer(checkpoints).list_checkpoints()
    epoch_of = {one.path.name: one.meta.get("epoch") for one in saved}
    if epochs not in epoch_of.values():
        raise SystemExit(
            f"{checkpoints} has no checkpoint of epoch {epochs}, but of "
            f"{sorted(e for e in epoch_of.values() if e)}; delete that "
            "training to have it trained again."
        )
    late = {name for name, epoch in epoch_of.items() if not epoch}
    late |= {n for n, epoch in epoch_of.items() if epoch and epoch > epochs}
    return lambda folder, names: late & set(names)

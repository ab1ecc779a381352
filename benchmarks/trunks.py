"""Trainings that begin with a part that others have trained.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import shutil
from pathlib import Path

CHECKPOINTS = "save"
LOGS = ("train_log.txt", "retention.jsonl")


def begin_with(trunk: Path, folder: Path) -> None:
    """Let a training go on where another one has ended.

    Arguments
    ---------
    trunk : Path
        The output folder of the training that has ended.
    folder : Path
        That of the training that goes on; left alone if it has begun.
    """
    checkpoints = folder / CHECKPOINTS
    if checkpoints.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    for name in LOGS:
        if (trunk / name).exists():
            shutil.copy2(trunk / name, folder / name)
    # Last, and in one step: a copy that was interrupted begins again.
    half = folder / f"{CHECKPOINTS}-unfinished"
    shutil.rmtree(half, ignore_errors=True)
    shutil.copytree(trunk / CHECKPOINTS, half, symlinks=True)
    half.rename(checkpoints)

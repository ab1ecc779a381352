"""The file or folder that an export writes.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from speechbrain_neuronprune.deploy.checksums import names_weights
from speechbrain_neuronprune.errors import ExportError
from speechbrain_neuronprune.file_names import RECIPE, WEIGHTS
from speechbrain_neuronprune.files import PathLike, atomic_path, writing


@contextlib.contextmanager
def export_target(path: PathLike, suffix: str) -> Iterator[Path]:
    """Yield a temporary path that takes the file's place at the end.

    Whether there can be such a file shows at once, not after minutes.

    Arguments
    ---------
    path : path-like
        The file to write.
    suffix : str
        What its name must end with.

    Yields
    ------
    Path
        To be written by the caller.

    Raises
    ------
    ExportError
        If the file cannot be written.
    """
    path = Path(path)
    if path.suffix != suffix or path.is_dir():
        raise ExportError(
            f"The export target {path} is no file whose name ends with "
            f"{suffix}; give one."
        )
    said = writing("The export", path, ExportError)
    with said, atomic_path(path) as temporary:
        yield temporary


def is_replaceable(folder: Path) -> bool:
    """Whether a model directory may take a folder's place.

    Arguments
    ---------
    folder : Path
        What is to be written.

    Returns
    -------
    bool
        True if nothing is there, an empty folder, or a model directory.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> is_replaceable(folder), is_replaceable(folder / "new")
    (True, True)
    >>> _ = (folder / "notes.txt").write_text("mine")
    >>> is_replaceable(folder), is_replaceable(folder / "notes.txt")
    (False, False)
    """
    if not folder.is_dir():
        return not folder.exists()
    # A training run has a yaml, too, and a checkpoint has weights: only a model
    # directory has both, or a card with the checksums of its weights.
    has_weights = (folder / WEIGHTS).is_file() or names_weights(folder)
    is_model = (folder / RECIPE).is_file() and has_weights
    return is_model or not any(folder.iterdir())

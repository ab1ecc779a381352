"""What can go wrong at the beginning of every recipe.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import contextlib
from collections.abc import Iterator

from speechbrain_neuronprune.errors import TrainingError
from speechbrain_neuronprune.files import PathLike


@contextlib.contextmanager
def beginning(path: PathLike) -> Iterator[None]:
    """Explain failures to read the yaml or to make the output folder.

    Arguments
    ---------
    path : path-like
        The yaml file.

    Raises
    ------
    TrainingError
        Instead of any ``OSError`` of the block.

    Example
    -------
    >>> with beginning("none.yaml"):
    ...     open("none.yaml")
    Traceback (most recent call last):
    ...
    speechbrain_neuronprune.errors.TrainingError: Cannot read none.yaml or ...
    """
    try:
        yield
    except OSError as error:
        raise TrainingError(
            f"Cannot read {path} or write the output folder ({error}); "
            "check the yaml's path, or pass --output_folder=FOLDER with a "
            "folder that you may write to."
        ) from error

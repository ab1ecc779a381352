"""Writing folders so that a kill leaves the old one or the new one.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from speechbrain_neuronprune.errors import DataError, NeuronPruneError
from speechbrain_neuronprune.files import PathLike


@contextlib.contextmanager
def whole_folder(path: PathLike, replace: bool = False) -> Iterator[Path]:
    """Yield a temporary folder beside ``path``; rename it to ``path`` at the
    end, or delete it if the block raises.

    Arguments
    ---------
    path : path-like
        Where the finished folder shall be. Folders above it are created.
    replace : bool
        Whether what is there makes way; otherwise only an empty folder does.

    Yields
    ------
    Path
        An empty folder, to be filled by the caller.

    Raises
    ------
    OSError
        If the folder cannot be written.

    Example
    -------
    >>> folder = getfixture("tmp_path") / "corpus"
    >>> with whole_folder(folder) as temporary:
    ...     _ = (temporary / "README.md").write_text("A corpus.")
    >>> [path.name for path in folder.iterdir()]
    ['README.md']
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        dir=path.parent, prefix=f".{path.name}.", ignore_cleanup_errors=True
    ) as scratch:
        temporary = Path(scratch, "new")
        temporary.mkdir()
        yield temporary
        if replace and path.exists():
            os.replace(path, Path(scratch, "old"))
        os.replace(temporary, path)


def require_vacant(
    path: PathLike, error: type[NeuronPruneError] = DataError
) -> None:
    """Refuse a folder that something would be lost in.

    Arguments
    ---------
    path : path-like
        A folder that is to be written.
    error : type
        What to raise.

    Raises
    ------
    NeuronPruneError
        If a file is there, or a folder that is not empty.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> require_vacant(folder), require_vacant(folder / "new")
    (None, None)
    """
    path = Path(path)
    if path.exists() and not path.is_dir():
        raise error(f"{path} is a file that exists; name a folder.")
    if path.is_dir() and any(path.iterdir()):
        raise error(
            f"The folder {path} exists and holds other files; name an empty "
            "folder or a new one, or delete it first."
        )

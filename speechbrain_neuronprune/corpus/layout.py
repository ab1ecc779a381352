"""Writing a corpus in LibriSpeech's layout::

    CORPUS/SPLIT/SPEAKER/CHAPTER/SPEAKER-CHAPTER-UTTERANCE.flac
    CORPUS/SPLIT/SPEAKER/CHAPTER/SPEAKER-CHAPTER.trans.txt

Authors
 * The speechbrain-neuronprune authors 2026
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import soundfile

from speechbrain_neuronprune.errors import DataError
from speechbrain_neuronprune.files import PathLike


def write_chapter(
    split: Path,
    speaker: int,
    chapter: int,
    utterances: Iterable[tuple[np.ndarray, str]],
    sample_rate: int = 16_000,
) -> None:
    """Write what one speaker says in one chapter.

    Arguments
    ---------
    split : Path
        The split's folder.
    speaker : int
        The speaker's number.
    chapter : int
        The chapter's number.
    utterances : iterable of (np.ndarray, str)
        The int16 samples and the text of each.
    sample_rate : int
        Of the samples, in hertz.

    Example
    -------
    >>> split = getfixture("tmp_path") / "dev-clean"
    >>> silence = np.zeros(16000, dtype=np.int16)
    >>> write_chapter(split, 1001, 1, [(silence, "open the windows")])
    >>> (split / "1001" / "1" / "1001-1.trans.txt").read_text()
    '1001-1-0000 OPEN THE WINDOWS\\n'
    """
    folder = split / str(speaker) / str(chapter)
    folder.mkdir(parents=True)
    lines = []
    for number, (samples, text) in enumerate(utterances):
        name = f"{speaker}-{chapter}-{number:04d}"
        soundfile.write(folder / f"{name}.flac", samples, sample_rate)
        lines.append(f"{name} {text.upper()}\n")
    transcripts = folder / f"{speaker}-{chapter}.trans.txt"
    transcripts.write_text("".join(lines), encoding="utf-8")


@contextlib.contextmanager
def atomic_folder(path: PathLike) -> Iterator[Path]:
    """Yield a temporary folder beside ``path``; rename it to ``path`` at the
    end, or delete it if the block raises.

    Arguments
    ---------
    path : path-like
        The folder to make. If it exists, it must be empty.

    Yields
    ------
    Path
        An empty folder, to be filled by the caller.

    Raises
    ------
    DataError
        If the folder is not empty, or cannot be written.

    Example
    -------
    >>> folder = getfixture("tmp_path") / "corpus"
    >>> with atomic_folder(folder) as temporary:
    ...     _ = (temporary / "README.md").write_text("A corpus.")
    >>> [path.name for path in folder.iterdir()]
    ['README.md']
    """
    path = Path(path).resolve()
    temporary = None
    try:
        _require_vacant(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(
            tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.")
        )
        yield temporary
        temporary.chmod(0o755)
        os.replace(temporary, path)
    except (OSError, soundfile.LibsndfileError) as error:
        raise DataError(
            f"Cannot write the corpus to {path} ({error}); name a folder that "
            "you may write to, on a disk with some space left."
        ) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def _require_vacant(path: Path) -> None:
    if path.exists() and not path.is_dir():
        raise DataError(f"{path} is a file; name a folder for the corpus.")
    if path.is_dir() and any(path.iterdir()):
        raise DataError(
            f"The folder {path} holds other files; name an empty folder or a "
            "new one, or delete it first."
        )

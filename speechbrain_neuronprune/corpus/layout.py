"""Writing a corpus in LibriSpeech's layout::

    CORPUS/SPLIT/SPEAKER/CHAPTER/SPEAKER-CHAPTER-UTTERANCE.flac
    CORPUS/SPLIT/SPEAKER/CHAPTER/SPEAKER-CHAPTER.trans.txt

Authors
 * The speechbrain-neuronprune authors 2026
"""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import soundfile

from speechbrain_neuronprune.files import PathLike, writing
from speechbrain_neuronprune.folders import require_vacant, whole_folder


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
def corpus_folder(path: PathLike) -> Iterator[Path]:
    """Write a folder of speech, whole or not at all.

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
    """
    path = Path(path).resolve()
    caught = (OSError, soundfile.LibsndfileError)
    with writing("The corpus", path, caught=caught):
        require_vacant(path)
        with whole_folder(path) as temporary:
            yield temporary
            temporary.chmod(0o755)  # for all to read, as single files

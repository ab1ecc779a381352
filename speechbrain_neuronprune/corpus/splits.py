"""Finding the utterances of a split in LibriSpeech's layout::

    SPLIT/SPEAKER/CHAPTER/SPEAKER-CHAPTER-UTTERANCE.flac (or .wav)
    SPLIT/SPEAKER/CHAPTER/SPEAKER-CHAPTER.trans.txt

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from speechbrain_neuronprune.errors import DataError

FILES = "*/*/[!.]*"  # SPEAKER/CHAPTER/FILE
AUDIO = (".flac", ".wav")
SHORTEST = 0.025  # seconds of speech, of which features can be computed


def split_files(split: Path) -> list[Path]:
    """All files of a split that are not hidden.

    Arguments
    ---------
    split : Path
        The split's folder.

    Returns
    -------
    list of Path
        Sorted.
    """
    return sorted(split.glob(FILES))


def find_speech(split: Path) -> list[Path]:
    """The recordings of a split.

    Arguments
    ---------
    split : Path
        The split's folder.

    Returns
    -------
    list of Path
        At least one audio file, sorted.

    Raises
    ------
    DataError
        If there is none, or two of a chapter have the same name.
    """
    files = split_files(split)
    audio = [path for path in files if path.suffix.lower() in AUDIO]
    if not audio:
        raise DataError(
            f"The split {split} holds no .flac or .wav files; they belong in "
            f"{split.name}/SPEAKER/CHAPTER/."
        )
    refuse_namesakes(split, audio)
    return audio


def refuse_namesakes(split: Path, audio: Iterable[Path]) -> None:
    """Recordings are known by their names, whatever their formats.

    Arguments
    ---------
    split : Path
        The split's folder.
    audio : iterable of Path
        Its recordings.

    Raises
    ------
    DataError
        If two of a chapter have the same name.

    Example
    -------
    >>> refuse_namesakes(Path("dev"), [Path("dev/1/2/a.flac")])
    """
    seen: dict[Path, Path] = {}
    for path in audio:
        other = seen.setdefault(path.with_suffix(""), path)
        if other != path:
            raise DataError(
                f"Two utterances of {split} are named {path.stem}: {other} and "
                f"{path}; rename or remove one."
            )


def transcript_files(split: Path) -> list[Path]:
    """The files of a split that hold its transcripts.

    Arguments
    ---------
    split : Path
        The split's folder.

    Returns
    -------
    list of Path
        Sorted.
    """
    suffix = ".trans.txt"
    return [path for path in split_files(split) if path.name.endswith(suffix)]


def transcripts(split: Path) -> Iterator[tuple[Path, str, str]]:
    """The transcripts of a split, line by line.

    Arguments
    ---------
    split : Path
        The split's folder.

    Yields
    ------
    tuple of Path, str and str
        The file, an utterance's name and its text in upper case, which may
        be empty. Blank lines are left out.

    Raises
    ------
    DataError
        If a file is no UTF-8 text.

    Example
    -------
    >>> chapter = getfixture("tmp_path") / "dev" / "1" / "2"
    >>> chapter.mkdir(parents=True)
    >>> _ = (chapter / "1-2.trans.txt").write_text("1-2-0000 go on\\n")
    >>> [(name, text) for _, name, text in transcripts(chapter.parents[1])]
    [('1-2-0000', 'GO ON')]
    """
    for path in transcript_files(split):
        for line in _read_text(path).splitlines():
            name, _, text = line.strip().partition(" ")
            if name:
                yield path, name, text.strip().upper()


def transcript_path(audio: Path) -> Path:
    """Where the transcript of a recording belongs.

    Arguments
    ---------
    audio : Path
        The recording.

    Returns
    -------
    Path
        The file of its chapter's transcripts.

    Example
    -------
    >>> transcript_path(Path("dev/1/2/1-2-0000.flac")).as_posix()
    'dev/1/2/1-2.trans.txt'
    """
    chapter = audio.parent
    return chapter / f"{chapter.parent.name}-{chapter.name}.trans.txt"


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"The transcripts in {path} cannot be read ({error}); they must be "
            "UTF-8 text."
        ) from error

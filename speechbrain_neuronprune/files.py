"""Files: written so that a kill leaves the old one or the new one, read
though a kill tore them, and told apart by checksums.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from speechbrain_neuronprune.errors import DataError, NeuronPruneError

PathLike = str | os.PathLike

GLANCE = 4096  # bytes


@contextlib.contextmanager
def atomic_path(path: PathLike) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it onto ``path`` at the
    end, or delete it if the block raises.

    Arguments
    ---------
    path : path-like
        Where the finished file shall be. Its folder is created.

    Yields
    ------
    Path
        A path in the same folder, to be written by the caller.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> with atomic_path(folder / "a.txt") as temporary:
    ...     _ = temporary.write_text("done")
    >>> (folder / "a.txt").read_text()
    'done'
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(
        dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix
    )
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def writing(
    what: str,
    path: PathLike,
    error: type[NeuronPruneError] = DataError,
    caught: type[Exception] | tuple[type[Exception], ...] = OSError,
) -> Iterator[None]:
    """Say what to do where a file or folder cannot be written.

    Arguments
    ---------
    what : str
        What is written in the block, to begin a sentence with.
    path : path-like
        Where.
    error : type
        What to raise.
    caught : type or tuple of type
        What to raise it for.

    Raises
    ------
    NeuronPruneError
        In place of what is caught.

    Example
    -------
    >>> with writing("The report", "out"):
    ...     raise OSError(28, "No space left on device")
    Traceback (most recent call last):
    ...
    speechbrain_neuronprune.errors.DataError: The report cannot be written ...
    """
    try:
        yield
    except caught as problem:
        raise cannot_write(what, path, problem, error) from problem


def cannot_write(
    what: str,
    path: PathLike,
    reason: object,
    error: type[NeuronPruneError] = DataError,
) -> NeuronPruneError:
    """The error of ``writing``.

    Arguments
    ---------
    what : str
        What cannot be written.
    path : path-like
        Where.
    reason : object
        Why, as text.
    error : type
        Of which kind.

    Returns
    -------
    NeuronPruneError
        To be raised by the caller.

    Example
    -------
    >>> str(cannot_write("The report", "out", "no disk")).partition(";")[0]
    'The report cannot be written to out (no disk)'
    """
    return error(
        f"{what} cannot be written to {path} ({reason}); name a folder that "
        "you may write to, on a disk with some space left."
    )


def write_json(path: PathLike, content: Any) -> None:
    """Write ``content`` as indented JSON, atomically.

    Arguments
    ---------
    path : path-like
        The file to write.
    content : Any
        Anything ``json`` can write; NaN is refused.

    Example
    -------
    >>> path = getfixture("tmp_path") / "figures.json"
    >>> write_json(path, {"wer": 4.4})
    >>> path.read_text()
    '{\\n  "wer": 4.4\\n}\\n'
    """
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json_lines(path: PathLike, lines: Iterable[Any]) -> None:
    """Write a line of JSON each, atomically.

    Arguments
    ---------
    path : path-like
        The file to write.
    lines : iterable
        Anything ``json`` can write.

    Example
    -------
    >>> path = getfixture("tmp_path") / "log.jsonl"
    >>> write_json_lines(path, [{"epoch": 1}, {"epoch": 2}])
    >>> read_whole_lines(path)
    (['{"epoch": 1}', '{"epoch": 2}'], '')
    """
    with atomic_path(path) as temporary:
        text = "".join(json.dumps(line) + "\n" for line in lines)
        temporary.write_text(text, encoding="utf-8")


def read_whole_lines(path: PathLike) -> tuple[list[str], str]:
    """Read a file that grows by whole lines, and may have been torn by a
    kill.

    Arguments
    ---------
    path : path-like
        The file.

    Returns
    -------
    tuple of list of str and str
        The whole lines, without their ends; and what there is of one more,
        nothing as a rule.

    Example
    -------
    >>> path = getfixture("tmp_path") / "log.jsonl"
    >>> _ = path.write_text('{"epoch": 1}\\n{"epo')
    >>> read_whole_lines(path)
    (['{"epoch": 1}'], '{"epo')
    """
    *lines, rest = Path(path).read_text(encoding="utf-8").split("\n")
    return lines, rest


def file_checksum(path: PathLike) -> str:
    """The SHA-256 of a file, in hexadecimal.

    Arguments
    ---------
    path : path-like
        The file.

    Returns
    -------
    str
        64 digits.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.txt"
    >>> _ = path.write_text("a")
    >>> file_checksum(path)[:8]
    'ca978112'
    """
    with open(path, "rb") as file:
        digest = hashlib.sha256()
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def glance(path: PathLike) -> bytes:
    """A checksum of a large file at the cost of a small one: of its size and
    of what stands in its middle, not of its name or its time.

    Enough to tell one recording from another, also from one of the same
    length; not to find a byte that was changed.

    Arguments
    ---------
    path : path-like
        The file.

    Returns
    -------
    bytes
        32 bytes.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.wav"
    >>> _ = path.write_bytes(b"one recording")
    >>> before = glance(path)
    >>> _ = path.write_bytes(b"other speech.")
    >>> glance(path) == before
    False
    """
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - GLANCE, 0) // 2)
        return hashlib.sha256(b"%d " % size + file.read(GLANCE)).digest()

"""Reading what a run wrote; damage is refused, with the file and the line.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from speechbrain_neuronprune.errors import DataError
from speechbrain_neuronprune.files import read_whole_lines


def read_object(path: Path) -> dict | None:
    """Read a file that holds one JSON object.

    Arguments
    ---------
    path : Path
        The file.

    Returns
    -------
    dict or None
        None if there is no such file.

    Raises
    ------
    DataError
        If it is damaged.
    """
    if not path.is_file():
        return None
    with _reading(path):
        text = path.read_text(encoding="utf-8")
    return parse_object(text, f"The file {path}")


def read_lines(path: Path) -> tuple[list[tuple[str, dict]], list[str]]:
    """Read a file of one JSON object per line, which may be growing.

    Arguments
    ---------
    path : Path
        The file; it need not exist.

    Returns
    -------
    tuple of list
        Per line, where it is (in words) and what it holds; and notes on what
        was left out: a killed run may end in the middle of a line.

    Raises
    ------
    DataError
        If a line is damaged.
    """
    if not path.is_file():
        return [], []
    with _reading(path):
        lines, torn = read_whole_lines(path)
    notes = []
    if _is_json(torn):
        lines.append(torn)
    elif torn:
        notes.append(f"The last line of {path.name} is unfinished: left out.")
    numbered = (
        (f"Line {number} of {path}", line)
        for number, line in enumerate(lines, start=1)
        if line.strip()
    )
    return [(where, parse_object(line, where)) for where, line in numbered], (
        notes
    )


def parse_object(text: str, where: str) -> dict:
    """Parse a JSON object; NaN and infinities become None.

    Arguments
    ---------
    text : str
        What to parse.
    where : str
        Where it was, for the message.

    Returns
    -------
    dict
        The object.

    Raises
    ------
    DataError
        If it is no JSON object.

    Example
    -------
    >>> parse_object('{"wer": NaN}', "The file results.json")
    {'wer': None}
    """
    try:
        content = json.loads(text, parse_constant=lambda name: None)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{where} is damaged: it is no JSON ({error}); restore it or "
            "delete it to report without it."
        ) from error
    if not isinstance(content, dict):
        raise DataError(
            f"{where} is damaged: it is a JSON {type(content).__name__}, not "
            "an object; restore it or delete it to report without it."
        )
    return content


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"The file {path} cannot be read ({error}); restore it or delete "
            "it to report without it."
        ) from error


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except json.JSONDecodeError:
        return False
    return True

"""Checksums of a model directory's weights, in its card.

They are a table in the card, so that people can compare them as well::

    | file | SHA-256 |
    | --- | --- |
    | model.ckpt | `9f86d0...` |

Authors
 * The speechbrain-neuronprune authors 2026
"""

import re
from pathlib import Path

from speechbrain_neuronprune.errors import DataError
from speechbrain_neuronprune.file_names import CARD
from speechbrain_neuronprune.files import PathLike, atomic_path, file_checksum

HEADING = "\n## Checksums\n\n| file | SHA-256 |\n| --- | --- |\n"
ROW = re.compile(r"^\| (\S+) \| `([0-9a-f]{64})` \|$", re.MULTILINE)


def write_card(folder: PathLike, text: str) -> None:
    """Write a model directory's card, with the checksums of its weights.

    Arguments
    ---------
    folder : path-like
        The directory; its weights are there already.
    text : str
        Markdown, without checksums.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> _ = (folder / "model.ckpt").write_bytes(b"weights")
    >>> write_card(folder, "# A model\\n")
    >>> verify_checksums(folder)
    >>> _ = (folder / "model.ckpt").write_bytes(b"other weights")
    >>> verify_checksums(folder)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    speechbrain_neuronprune.errors.DataError: The model directory ...
    """
    folder = Path(folder)
    text += HEADING
    for path in sorted(folder.glob("*.ckpt")):
        text += f"| {path.name} | `{file_checksum(path)}` |\n"
    with atomic_path(folder / CARD) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_card(folder: PathLike) -> str:
    """Read a model directory's card, without the checksums.

    Arguments
    ---------
    folder : path-like
        The directory.

    Returns
    -------
    str
        Markdown; empty if there is no card.
    """
    return _parts(folder)[0]


def _parts(folder: PathLike) -> tuple[str, str]:
    """The card's text, and its table of checksums."""
    card = Path(folder, CARD)
    if not card.is_file():
        return "", ""
    text = card.read_text(encoding="utf-8", errors="replace")
    before, _, table = text.partition(HEADING)
    return before, table


def names_weights(folder: PathLike) -> bool:
    """Whether a directory's card has checksums of weights.

    Arguments
    ---------
    folder : path-like
        The directory.

    Returns
    -------
    bool
        True for one that this package has written.
    """
    return ROW.search(_parts(folder)[1]) is not None


def verify_checksums(folder: PathLike) -> None:
    """Refuse a model directory whose weights are not those of its card.

    Arguments
    ---------
    folder : path-like
        The directory. Without a card, or with one that names no checksums,
        there is nothing to compare.

    Raises
    ------
    DataError
        If a file is missing or has another checksum.
    """
    for name, expected in ROW.findall(_parts(folder)[1]):
        path = Path(folder, name)
        found = file_checksum(path) if path.is_file() else "missing"
        if found != expected:
            raise DataError(
                f"The model directory {folder} cannot be loaded: {name} is "
                f"damaged or another one (its SHA-256 is {found}, the one in "
                f"{CARD} {expected}); copy the directory again, or run the "
                "recipe again to write it anew."
            )

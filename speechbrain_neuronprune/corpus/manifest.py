"""The manifest of a folder that was made: what was asked for, what is there.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from speechbrain_neuronprune.errors import DataError
from speechbrain_neuronprune.files import file_checksum, write_json

MANIFEST = "manifest.json"


def digest(folder: Path, paths: Iterable[Path]) -> str:
    """Return one checksum of several files, names included.

    Arguments
    ---------
    folder : Path
        Where they are; how it is called does not matter.
    paths : iterable of Path
        The files, at any depth below it.

    Returns
    -------
    str
        A SHA-256, 64 hexadecimal digits.

    Raises
    ------
    DataError
        If one of them cannot be read.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> _ = (folder / "a.txt").write_text("a")
    >>> len(digest(folder, [folder / "a.txt"]))
    64
    """
    try:
        content = json.dumps(_checksums(folder, paths), sort_keys=True)
    except OSError as error:
        raise DataError(
            f"The file {error.filename} cannot be read ({error.strerror}); "
            "copy it again, or allow yourself to read it."
        ) from error
    return hashlib.sha256(content.encode()).hexdigest()


def write_manifest(folder: Path, content: dict[str, Any]) -> None:
    """Write a folder's manifest, with the checksums of all its files.

    Arguments
    ---------
    folder : Path
        The folder, otherwise finished.
    content : dict
        What was asked for, and whatever else is worth telling.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> write_manifest(folder, {"seed": 1})
    >>> holds(folder, {"seed": 1}), holds(folder, {"seed": 2})
    (True, False)
    """
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    files = {"files": _checksums(folder, paths)}
    write_json(folder / MANIFEST, content | files)


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read a folder's manifest.

    Arguments
    ---------
    folder : Path
        The folder.

    Returns
    -------
    dict
        What ``write_manifest`` wrote.
    """
    return json.loads((folder / MANIFEST).read_text(encoding="utf-8"))


def holds(folder: Path, request: dict[str, Any]) -> bool:
    """Tell whether a folder holds what is asked for, undamaged.

    Arguments
    ---------
    folder : Path
        The folder; it need not exist. Files that were added do not matter.
    request : dict
        The part of the manifest's content that has to agree.

    Returns
    -------
    bool
        Whether it does, and no file is missing or changed.
    """
    try:
        manifest = read_manifest(folder)
        return request.items() <= manifest.items() and all(
            file_checksum(folder / name) == checksum
            for name, checksum in manifest["files"].items()
        )
    except (OSError, ValueError, KeyError, AttributeError):
        return False


def _checksums(folder: Path, paths: Iterable[Path]) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): file_checksum(path)
        for path in paths
    }

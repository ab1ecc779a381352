"""The measurements of one split: a line of JSON each, safe against kills.

The first line says what they are about: the model, the speech it was ranked
on, and the split, utterance by utterance. So the errors in the other lines
can be paired across removals, for instance in a bootstrap.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import json
import os
from pathlib import Path
from typing import Any

from speechbrain_neuronprune.errors import DataError
from speechbrain_neuronprune.files import (
    PathLike,
    read_whole_lines,
    write_json_lines,
)

FORMAT = "speechbrain-neuronprune measurements"
VERSION = 1


class MeasurementLog:
    """Append-only; what is there is not measured again.

    Arguments
    ---------
    path : path-like
        The file. It is made with the first measurement.
    header : dict
        What the measurements are about, for JSON.

    Raises
    ------
    DataError
        If the file is there and is about something else, or damaged.

    Example
    -------
    >>> path = getfixture("tmp_path") / "dev.jsonl"
    >>> log = MeasurementLog(path, {"model": "1f3a"})
    >>> log.append({"part": "hypo"}, {"word_errors": [0, 2]})
    >>> MeasurementLog(path, {"model": "1f3a"}).find({"part": "hypo"})
    {'word_errors': [0, 2]}
    """

    def __init__(self, path: PathLike, header: dict[str, Any]) -> None:
        self.path = Path(path)
        self.header = {"format": FORMAT, "version": VERSION, **header}
        self.found: dict[str, dict[str, Any]] = {}
        for line in self._read():
            self.found[_key(line["removed"])] = line["errors"]

    def find(self, removed: dict[str, Any]) -> dict[str, Any] | None:
        """What was measured, or None.

        Arguments
        ---------
        removed : dict
            What was removed.

        Returns
        -------
        dict or None
            The errors.
        """
        return self.found.get(_key(removed))

    def append(self, removed: dict[str, Any], errors: dict[str, Any]) -> None:
        """Write a measurement, in one go.

        Arguments
        ---------
        removed : dict
            What was removed.
        errors : dict
            What was measured.
        """
        if not self.path.exists():
            write_json_lines(self.path, [self.header])
        text = json.dumps({"removed": removed, "errors": errors}) + "\n"
        with open(self.path, "ab", buffering=0) as file:
            file.write(text.encode())
            os.fsync(file.fileno())
        self.found[_key(removed)] = errors

    def _read(self) -> list[dict[str, Any]]:
        """The measurements there are. A kill may have torn the last line,
        which must be gone before another is appended."""
        if not self.path.exists():
            return []
        try:
            whole, torn = read_whole_lines(self.path)
            header, *lines = [json.loads(line) for line in whole]
            for line in lines:
                _key(line["removed"]), line["errors"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"The measurements in {self.path} are damaged "
                f"({type(error).__name__}: {error}); delete the file to "
                "measure again, or name another output folder."
            ) from error
        self._compare(header)
        if torn:
            write_json_lines(self.path, [self.header, *lines])
        return lines

    def _compare(self, header: Any) -> None:
        if header == self.header:
            return
        differing = [
            name
            for name, value in self.header.items()
            if not isinstance(header, dict) or header.get(name) != value
        ]
        raise DataError(
            f"The measurements in {self.path} are about something else (their "
            f"{', '.join(differing) or 'header'} differs); name another output "
            "folder, or delete the file to measure again."
        )


def _key(removed: dict[str, Any]) -> str:
    return json.dumps(removed, sort_keys=True)

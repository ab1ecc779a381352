"""A log of one line of JSON per epoch, which a resumed run goes on with.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import json
from pathlib import Path
from typing import Any

from speechbrain_neuronprune.files import (
    PathLike,
    read_whole_lines,
    write_json_lines,
)


class EpochLog:
    """A file of one JSON object per epoch, safe to append to and to resume.

    Arguments
    ---------
    path : path-like
        The file.

    Example
    -------
    >>> log = EpochLog(getfixture("tmp_path") / "epochs.jsonl")
    >>> log.append({"epoch": 1})
    >>> log.append({"epoch": 2})
    >>> log.drop_after(epoch=1)
    >>> log.lines()
    [{'epoch': 1}]
    """

    def __init__(self, path: PathLike) -> None:
        self.path = Path(path)

    def append(self, line: dict[str, Any]) -> None:
        """Write one line at the end, in one go.

        Arguments
        ---------
        line : dict
            The epoch's figures, finite ones.
        """
        text = json.dumps(line, allow_nan=False) + "\n"
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(text)

    def lines(self) -> list[dict[str, Any]]:
        """The complete lines; a kill may have torn the last one.

        Returns
        -------
        list of dict
            In the order of the file; empty if there is no file.
        """
        if not self.path.exists():
            return []
        complete, _ = read_whole_lines(self.path)
        return [json.loads(line) for line in complete]

    def drop_after(self, epoch: int) -> None:
        """Forget what followed an epoch, as a resumed run does it again.

        Arguments
        ---------
        epoch : int
            The last one that stays.
        """
        if not self.path.exists():
            return
        kept = [line for line in self.lines() if line["epoch"] <= epoch]
        write_json_lines(self.path, kept)

"""The file of a plan: which units stay, as a small JSON with a checksum::

    {"format": "speechbrain-neuronprune plan", "version": 1,
     "sha256": "9f86d0...",
     "groups": {"layers.0.ffn_module1": {"units": 8, "kept": "0-2,5"}}}

Authors
 * The speechbrain-neuronprune authors 2026
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from speechbrain_neuronprune.errors import PlanError
from speechbrain_neuronprune.files import PathLike, write_json

FORMAT = "speechbrain-neuronprune plan"
VERSION = 1


def write_keep(path: PathLike, keep: Mapping[str, Tensor]) -> None:
    """Write which units stay, atomically.

    Arguments
    ---------
    path : path-like
        Where.
    keep : mapping of str to torch.Tensor
        Per group, bool (units,).

    Example
    -------
    >>> path = getfixture("tmp_path") / "plan.json"
    >>> write_keep(path, {"group": torch.tensor([True, True, False])})
    >>> read_keep(path)
    {'group': tensor([ True,  True, False])}
    """
    groups = {
        name: {"units": len(units), "kept": _to_ranges(units)}
        for name, units in keep.items()
    }
    content = {"format": FORMAT, "version": VERSION}
    content["sha256"] = _digest(groups)
    content["groups"] = groups
    write_json(path, content)


def read_keep(path: PathLike) -> dict[str, Tensor]:
    """Read what ``write_keep`` has written.

    Arguments
    ---------
    path : path-like
        The file.

    Returns
    -------
    dict of str to torch.Tensor
        Per group, bool (units,).

    Raises
    ------
    PlanError
        If the file is missing, truncated, altered, or of a newer format.
    """
    content = _read(Path(path))
    groups = content["groups"]
    if content.get("sha256") != _digest(groups):
        raise PlanError(
            f"The plan {path} was altered or damaged after it was written "
            "(its checksum differs); make it again from the model."
        )
    return {
        name: _from_ranges(group["kept"], group["units"])
        for name, group in groups.items()
    }


def _digest(groups: Mapping[str, Any]) -> str:
    text = json.dumps(groups, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _read(path: Path) -> dict:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PlanError(
            f"The plan {path} cannot be read ({error.strerror}); give the "
            "path of a file that PruningPlan.save has written."
        ) from error
    except ValueError as error:
        raise PlanError(
            f"The plan {path} is not complete JSON ({error}); make it again "
            "from the model."
        ) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise PlanError(
            f"The file {path} is no pruning plan; give the path of a file "
            "that PruningPlan.save has written."
        )
    if content.get("version") != VERSION:
        raise PlanError(
            f"The plan {path} has version {content.get('version')}, this "
            f"package reads version {VERSION}; make it again, or install the "
            "version that wrote it."
        )
    if not isinstance(content.get("groups"), dict):
        raise PlanError(
            f"The plan {path} has no groups; make it again from the model."
        )
    return content


def _to_ranges(units: Tensor) -> str:
    """[T, T, F, T] -> "0-1,3"."""
    kept = units.nonzero().flatten().tolist()
    ranges: list[list[int]] = []
    for unit in kept:
        if ranges and ranges[-1][1] == unit - 1:
            ranges[-1][1] = unit
        else:
            ranges.append([unit, unit])
    return ",".join(f"{a}-{b}" if a < b else f"{a}" for a, b in ranges)


def _from_ranges(text: str, size: int) -> Tensor:
    units = torch.zeros(size, dtype=torch.bool)
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        units[int(first) : int(last or first) + 1] = True
    return units

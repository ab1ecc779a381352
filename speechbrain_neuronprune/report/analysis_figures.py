"""What an analysis found, arranged for plots and tables.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from speechbrain_neuronprune.errors import DataError
from speechbrain_neuronprune.report.reading import read_object

ANALYSIS = "analysis.json"


def read_analysis(folder: Path) -> dict[str, Any] | None:
    """Gather the figures of an analysis.

    Arguments
    ---------
    folder : Path
        The run's folder.

    Returns
    -------
    dict or None
        None if there is no ``analysis.json``. Else ``ranked_on``, the speech
        that neurons were ranked on; ``criteria``; ``hypo`` and ``hyper``, the
        shares of those that are marked; ``splits`` with role and unpruned
        error rates; ``layers`` with saliencies, agreement of criteria and
        activations, under short names; and ``removals``, one row per split
        and removal, whose ``wer_difference`` is None in files of versions
        that did not have it.

    Raises
    ------
    DataError
        If the file is damaged.
    """
    content = read_object(folder / ANALYSIS)
    if content is None:
        return None
    try:
        return _arrange(content)
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise DataError(
            f"The file {folder / ANALYSIS} is damaged: it lacks or misspells "
            f"{error}; run the analysis again to rewrite it, or delete it to "
            "report without it."
        ) from error


def short_names(groups: Iterable[str]) -> dict[str, str]:
    """Shorten names of groups to what tells them apart.

    Arguments
    ---------
    groups : iterable of str
        Names of unit groups.

    Returns
    -------
    dict of str to str
        Name -> short name.

    Example
    -------
    >>> short_names(["net.fc.linear1", "net.fc.linear2"])
    {'net.fc.linear1': 'linear1', 'net.fc.linear2': 'linear2'}
    >>> short_names(["net.blocks.0.linear.w", "net.blocks.1.linear.w"])
    {'net.blocks.0.linear.w': '0', 'net.blocks.1.linear.w': '1'}
    """
    groups = list(groups)
    parts = [group.split(".") for group in groups]
    first = _shared(parts)
    last = _shared([path[first:][::-1] for path in parts])
    return {
        group: ".".join(path[first : len(path) - last]) or group
        for group, path in zip(groups, parts, strict=True)
    }


def _shared(paths: list[list[str]]) -> int:
    """How many parts all paths begin with, of which one stays in any case."""
    count = 0
    shortest = min((len(path) for path in paths), default=1)
    while count < shortest - 1 and len({path[count] for path in paths}) == 1:
        count += 1
    return count


def _arrange(content: dict[str, Any]) -> dict[str, Any]:
    names = short_names(content["groups"])
    settings = content["settings"]
    rows = [_row(row, names) for row in content["measurements"]]
    unpruned = {row["split"]: row for row in rows if row["part"] == "none"}
    return {
        "ranked_on": content["ranked_on"],
        "criteria": list(settings["criteria"]),
        "hypo": float(settings["hypo"]),
        "hyper": float(settings["hyper"]),
        "splits": {
            name: {
                "role": split["role"],
                "utterances": split["utterances"],
                "words": split["words"],
                "wer": unpruned[name]["wer"],
                "cer": unpruned[name]["cer"],
            }
            for name, split in content["splits"].items()
        },
        "layers": {
            names[name]: _layer(name, group)
            for name, group in content["groups"].items()
        },
        "removals": [row for row in rows if row["part"] != "none"],
    }


def _row(row: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    layers = [names[name] for name in row["layers"]]
    place = " + ".join(layers)
    if len(layers) > 3:
        place = f"{len(layers)} layers together"
    change = row.get("wer_difference")
    if change is not None:
        change = {key: change[key] for key in ("difference", "low", "high")}
    return {**row, "layers": layers, "place": place, "wer_difference": change}


def _layer(name: str, group: dict[str, Any]) -> dict[str, Any]:
    saliency = {
        criterion: {
            key: one[key] for key in ("order", "values", "hypo", "hyper")
        }
        for criterion, one in group["saliency"].items()
    }
    agreement = group["agreement"]
    return {
        "group": name,
        "units": group["units"],
        "saliency": saliency,
        "agreement": {
            "criteria": list(agreement["criteria"]),
            "matrix": [list(row) for row in agreement["matrix"]],
        },
        "splits": {
            split: {
                key: summary[key]
                for key in ("magnitude", "silence", "dead", "dead_share")
            }
            for split, summary in group["splits"].items()
        },
    }

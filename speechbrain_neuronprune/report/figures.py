"""Every figure of a run, gathered from the files that the run wrote.

A run need not be finished: what is there is gathered, what is missing is
None. What is damaged is refused, with the file and the line.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from speechbrain_neuronprune.errors import DataError
from speechbrain_neuronprune.file_names import PLAN, RESULTS
from speechbrain_neuronprune.files import PathLike
from speechbrain_neuronprune.plan import PruningPlan
from speechbrain_neuronprune.report.adaptation_figures import (
    ADAPTATION,
    ADAPTATION_LOG,
    read_curves,
    read_systems,
)
from speechbrain_neuronprune.report.analysis_figures import (
    ANALYSIS,
    read_analysis,
)
from speechbrain_neuronprune.report.reading import read_lines, read_object

TRAINING = "retention.jsonl"
TRAINED = (TRAINING, PLAN, RESULTS)  # what only a training run writes
FILES = (*TRAINED, ANALYSIS, ADAPTATION_LOG, ADAPTATION)

REQUIRED = ("epoch", "step", "groups")
CURVES = (
    "epoch",
    "step",
    "c",
    "expected_parameters",
    "kept_parameters",
    "train_loss",
    "valid_loss",
    "valid_wer",
)

# How the last part of a group's name reads in a plot.
PLACES = {
    "ffn_module1": "FFN 1",
    "query": "query",
    "value": "value",
    "convolution_module": "conv",
    "ffn_module2": "FFN 2",
}


def collect_figures(run_folder: PathLike) -> dict[str, Any]:
    """Gather every figure of a run into one dictionary.

    Arguments
    ---------
    run_folder : path-like
        The output folder of a training run, an analysis or an adaptation,
        finished or not.

    Returns
    -------
    dict
        ``name`` and ``seed`` of the run; ``training``, one list per curve
        and the logits' quantiles and last histogram; ``units``, one row per
        group with its block, place, size and number of units alive;
        ``results``, error rates and costs; ``analysis``, see
        ``read_analysis``; ``adaptation`` with ``curves`` and ``systems``, see
        ``read_curves`` and ``read_systems``; ``notes``, what a reader should
        know about missing pieces. JSON can hold all of it.

    Raises
    ------
    DataError
        If the folder is not a run, or one of its files is damaged.
    """
    folder = Path(run_folder)
    _check_run(folder)
    records, notes = _read_training(folder / TRAINING)
    results = _read_results(folder / RESULTS)
    units, source = _units(folder / PLAN, records)
    if any((folder / name).is_file() for name in TRAINED):
        notes += _missing(records, source, results)
    curves, more_notes = read_curves(folder)
    return {
        "name": (results or {}).get("name") or folder.resolve().name,
        "seed": (results or {}).get("seed"),
        "training": _training(records),
        "units": units,
        "units_from": source,
        "results": results,
        "analysis": read_analysis(folder),
        "adaptation": {"curves": curves, "systems": read_systems(folder)},
        "notes": notes + more_notes,
    }


def place_of(group: str) -> str:
    """Return where in its block a group sits, in words for a plot.

    Arguments
    ---------
    group : str
        Name of a unit group.

    Returns
    -------
    str
        One of FFN 1, query, value, conv, FFN 2; "units" elsewhere.

    Example
    -------
    >>> place_of("encoder.layers.3.mha_layer.query")
    'query'
    """
    return PLACES.get(group.rpartition(".")[2], "units")


def block_numbers(groups: Iterable[str]) -> dict[str, int]:
    """Number the blocks that groups belong to: 1, 2, ... in forward order.

    Arguments
    ---------
    groups : iterable of str
        Names of unit groups in forward order.

    Returns
    -------
    dict of str to int
        Group name -> number of its block.

    Example
    -------
    >>> block_numbers(["layers.0.ffn_module1", "layers.2.ffn_module1"])
    {'layers.0.ffn_module1': 1, 'layers.2.ffn_module1': 2}
    """
    blocks: dict[str, int] = {}
    return {
        group: blocks.setdefault(_block_path(group), len(blocks) + 1)
        for group in groups
    }


def _block_path(group: str) -> str:
    """A block's path ends with the last index in the group's name."""
    parts = group.split(".")
    ends = [i for i, part in enumerate(parts) if part.isdigit()]
    return ".".join(parts[: ends[-1] + 1]) if ends else group


def _check_run(folder: Path) -> None:
    if not folder.is_dir():
        raise DataError(
            f"The run folder {folder} does not exist; give the output folder "
            "of a training run."
        )
    if not any((folder / name).is_file() for name in FILES):
        raise DataError(
            f"The folder {folder} is not a run: it holds none of "
            f"{', '.join(FILES)}; give the output folder of a training run, "
            "an analysis or an adaptation."
        )


def _read_training(path: Path) -> tuple[list[dict], list[str]]:
    """Read the records of all epochs and notes on what was left out; a
    resumed run repeats epochs, then the last record of an epoch counts."""
    lines, notes = read_lines(path)
    checked = (_record(line, where) for where, line in lines)
    records = {record["epoch"]: record for record in checked}
    return [records[epoch] for epoch in sorted(records)], notes


def _record(record: dict, where: str) -> dict:
    missing = [key for key in REQUIRED if record.get(key) is None]
    if missing:
        raise DataError(
            f"{where} is damaged: it lacks {', '.join(missing)}; delete the "
            "line, or train on to write the epoch again."
        )
    return record


def _read_results(path: Path) -> dict | None:
    results = read_object(path)
    if results is None:
        return None
    for key in ("splits", "cost"):
        if not isinstance(results.setdefault(key, {}), dict):
            raise DataError(
                f"The file {path} is damaged: its {key!r} is no JSON object; "
                "evaluate the run again to rewrite it."
            )
    return results


def _training(records: list[dict]) -> dict | None:
    """Turn one record per epoch into one list per curve."""
    if not records:
        return None
    last = records[-1]
    kinds = list(last.get("logit_quantiles") or {})
    curves = {key: [record.get(key) for record in records] for key in CURVES}
    return {
        **curves,
        "dense_parameters": last.get("dense_parameters"),
        "logit_quantiles": {
            kind: [
                (record.get("logit_quantiles") or {}).get(kind)
                for record in records
            ]
            for kind in kinds
        },
        "logit_histogram": last.get("logit_histogram"),
        "retention_mean": {
            name: group.get("retention_mean")
            for name, group in last["groups"].items()
        },
    }


def _units(path: Path, records: list[dict]) -> tuple[list[dict], str]:
    """List how many units are alive per group: as the plan says, or before
    there is one, as the last epoch says."""
    if path.is_file():
        keep = PruningPlan.load(path).keep
        alive = {name: (len(k), int(k.sum())) for name, k in keep.items()}
        source = path.name
    elif records:
        alive = _alive(records[-1])
        source = TRAINING
    else:
        return [], ""
    blocks = block_numbers(alive)
    rows = [
        {
            "group": name,
            "block": blocks[name],
            "place": place_of(name),
            "size": size,
            "alive": kept,
        }
        for name, (size, kept) in alive.items()
    ]
    return rows, source


def _alive(record: dict) -> dict[str, tuple[int, int]]:
    try:
        return {
            name: (int(group["size"]), int(group["alive"]))
            for name, group in record["groups"].items()
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"Epoch {record['epoch']} in {TRAINING} is damaged: a group lacks "
            "its size or the number of units alive; delete the line, or train "
            "on to write the epoch again."
        ) from error


def _missing(
    records: list[dict], source: str, results: dict | None
) -> list[str]:
    notes = []
    if not records:
        notes.append(f"There is no {TRAINING}: no curves over training.")
    if source == TRAINING:
        notes.append(
            f"There is no {PLAN} yet: units are those of the last epoch."
        )
    if results is None:
        notes.append(
            f"There is no {RESULTS} yet: costs and error rates follow once "
            "the run has been evaluated."
        )
    return notes

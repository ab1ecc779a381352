"""What an adaptation wrote, arranged for plots and tables.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from pathlib import Path
from typing import Any

from speechbrain_neuronprune.errors import DataError
from speechbrain_neuronprune.report.reading import read_lines, read_object

ADAPTATION_LOG = "adaptation.jsonl"
ADAPTATION = "adaptation.json"
REQUEST = "request.json"


def read_curves(folder: Path) -> tuple[dict[str, Any] | None, list[str]]:
    """Gather what was logged after every epoch of an adaptation.

    Arguments
    ---------
    folder : Path
        The run's folder.

    Returns
    -------
    tuple
        None if nothing was logged, else for every stage one list per curve:
        ``epoch``, ``step``, ``loss_train``, ``loss_held_back`` and ``wer``,
        which has one per split, with None where something is unknown; and
        notes on lines that were left out, and on stages of which no epoch
        was better than the start (epoch 0), so that nothing was learned.

    Raises
    ------
    DataError
        If a line is damaged.
    """
    lines, notes = read_lines(folder / ADAPTATION_LOG)
    stages: dict[str, dict[int, dict]] = {}
    for where, line in lines:
        if line.get("epoch") is None:
            raise DataError(
                f"{where} is damaged: it lacks epoch; delete the line, or "
                "adapt again to write it."
            )
        # A resumed run repeats epochs; the last line counts.
        epochs = stages.setdefault(str(line.get("stage") or "adaptation"), {})
        epochs[line["epoch"]] = line
    curves = {
        name: _curves([epochs[epoch] for epoch in sorted(epochs)])
        for name, epochs in stages.items()
    }
    notes += [
        _no_better(name, _start_counts(folder))
        for name, one in curves.items()
        if _in_vain(one)
    ]
    return curves or None, notes


def read_systems(folder: Path) -> dict[str, dict[str, float]] | None:
    """Gather the error rates before and after adaptation.

    Arguments
    ---------
    folder : Path
        The run's folder.

    Returns
    -------
    dict or None
        None if there are none. Else, for every system, split -> word error
        rate; the first one is what the others are compared with. The file
        has for every split a number, or an object with ``wer``; whatever is
        no such row is passed over.

    Raises
    ------
    DataError
        If the file is damaged.
    """
    content = read_object(folder / ADAPTATION) or {}
    rows = {name: _rates(row) for name, row in content.items()}
    return {name: rates for name, rates in rows.items() if rates} or None


def _curves(lines: list[dict]) -> dict[str, Any]:
    keys = ("epoch", "step", "loss_train", "loss_held_back")
    rates = [_rates(line.get("wer")) for line in lines]
    splits = list(dict.fromkeys(split for row in rates for split in row))
    return {
        **{key: [line.get(key) for line in lines] for key in keys},
        "wer": {split: [row.get(split) for row in rates] for split in splits},
    }


def _in_vain(stage: dict[str, Any]) -> bool:
    """Whether the held-back loss was lowest before the first epoch; what is
    not logged to its end says nothing about that."""
    losses = stage["loss_held_back"]
    if stage["epoch"][0] != 0 or len(losses) == 1 or None in losses:
        return False
    return losses[0] <= min(losses)


def _start_counts(folder: Path) -> bool:
    """Whether a stage may return what it began with."""
    request = read_object(folder / REQUEST) or {}
    return bool(request.get("start_counts"))


def _no_better(stage: str, start_counts: bool) -> str:
    outcome = (
        "its result is the model that it began with"
        if start_counts
        else "an epoch was taken all the same (start_counts is off)"
    )
    return (
        f"No epoch of {stage} lowered the loss on the held-back speech; "
        f"{outcome}."
    )


def _rates(row: Any) -> dict[str, float]:
    if not isinstance(row, dict):
        return {}
    rates = {
        split: value.get("wer") if isinstance(value, dict) else value
        for split, value in row.items()
    }
    return {
        split: rate
        for split, rate in rates.items()
        if isinstance(rate, int | float) and not isinstance(rate, bool)
    }

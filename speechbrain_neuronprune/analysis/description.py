"""What ``analysis.json`` says about settings, speech, neurons and errors.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor

from speechbrain_neuronprune.analysis.intervals import rate_difference
from speechbrain_neuronprune.analysis.log import MeasurementLog
from speechbrain_neuronprune.analysis.ranking import Ranking, decimals
from speechbrain_neuronprune.analysis.removals import Removal
from speechbrain_neuronprune.analysis.settings import AnalysisSettings
from speechbrain_neuronprune.corpus.speech import Speech
from speechbrain_neuronprune.hyper_hypo import select_hyper_hypo
from speechbrain_neuronprune.saliency import (
    ActivationStatistics,
    rank_agreement,
)
from speechbrain_neuronprune.units import UnitGroup


def describe_groups(
    groups: dict[str, UnitGroup], ranking: Ranking, settings: AnalysisSettings
) -> dict[str, Any]:
    """Describe the neurons of every group.

    Arguments
    ---------
    groups : dict of str to UnitGroup
        The groups.
    ranking : Ranking
        What speech says about them.
    settings : AnalysisSettings
        Which of them count as hypo and hyper.

    Returns
    -------
    dict of str to dict
        ``kind`` and ``units`` of the group; its ``saliency`` by every
        criterion: the units in ``order``, the least salient first, their
        ``values`` and how many are ``hypo`` and ``hyper``; the rank
        ``agreement`` of the criteria; every unit's ``activations`` on the
        ranking speech; a summary of them for each of the ``splits``.

    Raises
    ------
    SelectionError
        If a share is less than one neuron.
    """
    agreement = rank_agreement(ranking.scores)
    return {
        name: {
            "kind": group.kind,
            "units": group.size,
            "saliency": {
                criterion: _saliency(name, by_group[name], settings)
                for criterion, by_group in ranking.scores.items()
            },
            "agreement": _agreement(*agreement[name]),
            "activations": _activations(ranking.activations[name]),
            "splits": {
                split: _summary(by_group[name])
                for split, by_group in ranking.splits.items()
            },
        }
        for name, group in groups.items()
    }


def describe_settings(
    settings: AnalysisSettings, sets: Sequence[tuple[str, ...]]
) -> dict[str, Any]:
    """Describe what was tried.

    Arguments
    ---------
    settings : AnalysisSettings
        The settings.
    sets : sequence of tuple of str
        The layers from which neurons were removed.

    Returns
    -------
    dict
        For JSON.
    """
    return {
        "criteria": list(settings.criteria),
        "shares": list(settings.shares),
        "parts": list(settings.parts),
        "hypo": settings.hypo,
        "hyper": settings.hyper,
        "ablations": list(settings.ablations),
        "layers": [list(layers) for layers in sets],
        "window": settings.window,
        "frame_stride": settings.frame_stride,
        "seed": settings.seed,
    }


def describe_speech(speech: Speech) -> dict[str, Any]:
    """Say how much speech there is.

    Arguments
    ---------
    speech : Speech
        A split.

    Returns
    -------
    dict
        Its name, utterances, words and minutes.
    """
    return {
        "name": speech.name,
        "utterances": len(speech.utterances),
        "words": sum(len(one.words) for one in speech.utterances),
        "minutes": round(speech.seconds / 60, 3),
    }


def describe_splits(splits: Sequence[Speech]) -> dict[str, dict[str, Any]]:
    """Say which splits there are, and which is the home domain.

    Arguments
    ---------
    splits : sequence of Speech
        The home domain first.

    Returns
    -------
    dict of str to dict
        ``role`` (``home`` or ``domain``) and what ``describe_speech`` says.
    """
    roles = ["home", *["domain"] * (len(splits) - 1)]
    return {
        one.name: {"role": role, **describe_speech(one)}
        for role, one in zip(roles, splits, strict=True)
    }


def pool(
    logs: Iterable[MeasurementLog], removals: Sequence[Removal]
) -> list[dict[str, Any]]:
    """The errors of every split and removal, in total.

    Arguments
    ---------
    logs : iterable of MeasurementLog
        One per split; they have all removals.
    removals : sequence of Removal
        What was removed.

    Returns
    -------
    list of dict
        Error rates are in per cent. ``wer_difference`` compares that of words
        with the untouched model's, see ``rate_difference``; it is None where
        nothing was removed, or that was not measured.
    """
    return [_pooled(log, removal) for log in logs for removal in removals]


def _pooled(log: MeasurementLog, removal: Removal) -> dict[str, Any]:
    errors = log.find(removal.facts())
    row = {"split": log.header["split"], **removal.facts()}
    row["units"] = removal.units
    for kind, rate in (("word", "wer"), ("character", "cer")):
        wrong = sum(errors[f"{kind}_errors"])
        total = sum(log.header[f"{kind}s"])
        row |= {f"{kind}_errors": wrong, f"{kind}s": total}
        row[rate] = 100 * wrong / total
    row["wer_difference"] = _difference(log, removal, errors)
    return row


def _difference(
    log: MeasurementLog, removal: Removal, errors: dict[str, Any]
) -> dict[str, float] | None:
    untouched = log.find(Removal("none").facts())
    if untouched is None or removal.part == "none":
        return None
    return rate_difference(
        errors["word_errors"], untouched["word_errors"], log.header["words"]
    )


def _saliency(
    name: str, scores: Tensor, settings: AnalysisSettings
) -> dict[str, Any]:
    chosen = select_hyper_hypo({name: scores}, settings.hypo, settings.hyper)
    order = scores.argsort(stable=True)
    return {
        "order": order.tolist(),
        "values": decimals(scores[order]),
        "hypo": int(chosen[name].hypo.sum()),
        "hyper": int(chosen[name].hyper.sum()),
    }


def _agreement(criteria: tuple[str, ...], matrix: Tensor) -> dict[str, Any]:
    rows = [
        [None if value != value else round(value, 4) for value in row]
        for row in matrix.tolist()
    ]
    return {"criteria": list(criteria), "matrix": rows}


def _activations(statistics: ActivationStatistics) -> dict[str, Any]:
    names = ("mean", "magnitude", "deviation", "silence")
    by_unit = {name: decimals(getattr(statistics, name)) for name in names}
    return {"summary": _summary(statistics), **by_unit}


def _summary(statistics: ActivationStatistics) -> dict[str, Any]:
    return {
        "frames": statistics.frames,
        "mean": float(statistics.mean.mean()),
        "magnitude": float(statistics.magnitude.mean()),
        "silence": float(statistics.silence.mean()),
        "dead": int(statistics.dead.sum()),
        "dead_share": statistics.dead_share,
    }

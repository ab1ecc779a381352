"""From a source to a plan: by its gates, or by a saliency.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import Tensor

from speechbrain_neuronprune.attach import adaptive_dropouts
from speechbrain_neuronprune.compaction import remove_gates
from speechbrain_neuronprune.corpus.speech import Speech
from speechbrain_neuronprune.deploy.sources import Source
from speechbrain_neuronprune.errors import PlanError, SaliencyError
from speechbrain_neuronprune.plan import PruningPlan
from speechbrain_neuronprune.saliency import CRITERIA, measure_saliency
from speechbrain_neuronprune.units import Targets
from speechbrain_neuronprune.units.stagewise import run_stages

FEATURES = "normalize"  # the stage of a recogniser that gives features


def plan_by_retention(
    source: Source, rule: Mapping[str, Any], **form: Any
) -> PruningPlan:
    """Make a plan from what the gates of a model have learned.

    Arguments
    ---------
    source : Source
        A model with gates.
    rule : mapping
        One of ``target``, ``threshold`` and ``fraction``, and its value.
    **form
        ``round_to`` and ``balance_heads``.

    Returns
    -------
    PruningPlan
        The plan.

    Raises
    ------
    PlanError
        If there are no gates, or the target is out of reach.
    """
    if not adaptive_dropouts(source.network):
        raise PlanError(
            f"The model in {source.path} has no adaptive dropout to read a "
            "plan from; give a run that was trained with it, or make a plan "
            "with neuronprune plan and a --criterion that needs none."
        )
    return PruningPlan.from_retention(
        source.network, **_counted(source, rule), **form
    )


def plan_by_scores(
    source: Source,
    scores: Mapping[str, Tensor],
    rule: Mapping[str, Any],
    **form: Any,
) -> PruningPlan:
    """Make a plan from a score for every unit.

    Arguments
    ---------
    source : Source
        The model.
    scores : mapping of str to torch.Tensor
        Group to scores, (units,).
    rule : mapping
        One of ``target``, ``threshold`` and ``fraction``, and its value.
    **form
        ``round_to`` and ``balance_heads``.

    Returns
    -------
    PruningPlan
        The plan.

    Raises
    ------
    PlanError
        If the target is out of reach.
    """
    return PruningPlan.from_scores(
        scores, model=source.network, **_counted(source, rule), **form
    )


def rank_units(
    source: Source,
    criterion: str,
    speech: Speech | None,
    targets: Targets,
    **options: Any,
) -> dict[str, Tensor]:
    """Measure a saliency; gates are taken out for it.

    Arguments
    ---------
    source : Source
        The model.
    criterion : str
        One of ``CRITERIA``.
    speech : Speech or None
        What it is measured on, for criteria that need speech.
    targets : str or iterable of str, optional
        As in ``find_units``; None takes all fully connected groups.
    **options
        Options of ``measure_saliency``.

    Returns
    -------
    dict of str to torch.Tensor
        Group to saliencies, (units,).

    Raises
    ------
    SaliencyError
        If the criterion needs speech that cannot be brought to the network.
    """
    remove_gates(source.network)
    batches, forward = [], None
    if CRITERIA[criterion].needs_speech:
        start = _features(source, criterion)
        batches = _batches(source, speech, start)
        forward = _after(source, start)
    measured = measure_saliency(
        source.network,
        batches,
        [criterion],
        targets,
        forward=forward,
        progress=True,
        **options,
    )
    return measured[criterion]


def _counted(source: Source, rule: Mapping[str, Any]) -> dict[str, Any]:
    """The rule as plans take it: a target is of the whole recogniser."""
    if "target" not in rule:
        return dict(rule)
    return {
        "target_parameters": rule["target"],
        "others": source.other_parameters,
    }


def _features(source: Source, criterion: str) -> int:
    """How many stages of the recogniser come before the network's input."""
    stages = [] if source.chain is None else list(source.chain.keys())
    if FEATURES not in stages:
        raise SaliencyError(
            f"The criterion {criterion} needs speech, and how speech gets to "
            f"the network of {source.path}, which is no run of the recipes and "
            "no model directory of this package, is not known; use mbp, random "
            "or retention, or call rank_neurons in Python."
        )
    return stages.index(FEATURES) + 1


def _batches(
    source: Source, speech: Speech, start: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Features, computed as they are needed."""
    device = next(source.network.parameters()).device
    for batch in speech.batches(source.normalize):
        wavs, lengths = batch.wavs.to(device), batch.lengths.to(device)
        yield run_stages(source.chain, wavs, lengths, stop=start), lengths


def _after(source: Source, start: int) -> Callable[..., Tensor]:
    """Runs the recogniser from the features on, the network included."""

    def forward(network: Any, x: Tensor, lengths: Tensor) -> Tensor:
        return run_stages(source.chain, x, lengths, start)

    return forward

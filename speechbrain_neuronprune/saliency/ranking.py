"""Ranking neurons: one saliency per unit, by any of the criteria.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor, nn

from speechbrain_neuronprune.errors import SaliencyError
from speechbrain_neuronprune.saliency.batches import Batches
from speechbrain_neuronprune.saliency.brain_surgeon import BrainSurgeon
from speechbrain_neuronprune.saliency.chance import Chance
from speechbrain_neuronprune.saliency.cross_correlation import (
    CrossCorrelation,
)
from speechbrain_neuronprune.saliency.lagged_correlation import (
    LaggedCorrelation,
)
from speechbrain_neuronprune.saliency.mean_activation import MeanActivation
from speechbrain_neuronprune.saliency.measure import WINDOW, Measure, Settings
from speechbrain_neuronprune.saliency.streaming import (
    Forward,
    Loss,
    StreamingPass,
)
from speechbrain_neuronprune.saliency.taps import find_taps
from speechbrain_neuronprune.saliency.taylor import Taylor
from speechbrain_neuronprune.saliency.weight_power import WeightPower
from speechbrain_neuronprune.units import Targets

CRITERIA: dict[str, type[Measure]] = {
    "mi": CrossCorrelation,
    "mi_lagged": LaggedCorrelation,
    "obs": BrainSurgeon,
    "mbp": WeightPower,
    "activation": MeanActivation,
    "taylor": Taylor,
    "random": Chance,
}


def rank_neurons(
    model: nn.Module,
    batches: Batches,
    criterion: str,
    targets: Targets = None,
    window: int = WINDOW,
    **options: Any,
) -> dict[str, Tensor]:
    """Measure how salient every hidden unit of a model is.

    Mitra and Franco, sec. 4: neurons are ranked within a layer, by a criterion
    that looks at speech, at the weights, or at both. The formulas, and what is
    inferred in them, stand in the classes of ``CRITERIA``.

    Arguments
    ---------
    model : nn.Module
        A model with fully connected units (kinds ``fc``, ``ffn``). It runs
        in evaluation mode and is left as it was found.
    batches : iterable
        Yields input tensors (batch, time, features), or pairs (tensor,
        relative lengths) where there is padding, which never counts. A model
        without a time axis takes (batch, features). It is read once; ``mbp``
        and ``random`` do not read it.
    criterion : str
        ``mi``, ``mi_lagged``, ``obs``, ``mbp``, ``activation``, ``taylor``
        or ``random``.
    targets : str or iterable of str, optional
        As in ``find_units``; None takes all ``fc`` and ``ffn`` groups.
    window : int
        Frames in the time window of ``mi`` and ``mi_lagged`` (q in Mitra and
        Franco, its value inferred), at the layer's own frame rate.
    **options
        The options of ``measure_saliency``.

    Returns
    -------
    dict of str to torch.Tensor
        For every group in forward order its units' saliencies, float32 on
        the CPU, (units,); the higher the more salient.

    Raises
    ------
    SaliencyError
        If the criterion is unknown, there is no speech, or activations are
        not finite.
    UnitsError
        If the targets match nothing, or units that are not fully connected.

    Example
    -------
    >>> import torch
    >>> model = nn.Sequential(nn.Linear(40, 9), nn.Sigmoid(), nn.Linear(9, 5))
    >>> speech = [(torch.randn(2, 50, 40), torch.tensor([1.0, 0.7]))]
    >>> scores = rank_neurons(model, speech, "mi")
    >>> scores["0"].shape
    torch.Size([9])
    """
    by_criterion = measure_saliency(
        model, batches, [criterion], targets, window, **options
    )
    return by_criterion[criterion]


def measure_saliency(
    model: nn.Module,
    batches: Batches,
    criteria: Iterable[str],
    targets: Targets = None,
    window: int = WINDOW,
    *,
    forward: Forward | None = None,
    loss: Loss | None = None,
    frame_stride: int = Settings.frame_stride,
    gradient_stride: int = Settings.gradient_stride,
    damping: float = Settings.damping,
    outgoing: bool = Settings.outgoing,
    seed: int = Settings.seed,
    progress: bool = False,
) -> dict[str, dict[str, Tensor]]:
    """Measure several criteria in one pass over the speech.

    The memory does not grow with the amount of speech, and the result does
    not depend on how utterances are batched and padded. Where
    torch.distributed runs, every process reads its own batches and gets the
    result of all.

    Arguments
    ---------
    model : nn.Module
        As in ``rank_neurons``.
    batches : iterable
        As in ``rank_neurons``.
    criteria : iterable of str
        Names of criteria.
    targets : str or iterable of str, optional
        As in ``rank_neurons``.
    window : int
        As in ``rank_neurons``.
    forward : callable, optional
        Runs the model on a batch, or with a ``gradient_stride`` on a part of
        one: ``forward(model, x, lengths)``, lengths being relative or None.
        By default ``model(x)``, or ``model(x, lengths=lengths)`` if the model
        takes lengths and the batch has them.
    loss : callable, optional
        ``taylor``: ``loss(output, x, lengths)``, a scalar summed over frames;
        by default the cross-entropy of the output with its own decisions.
    frame_stride : int
        All but ``taylor``: look at every ``frame_stride``-th frame of an
        utterance only, which estimates them at a lower cost; 1 is exact. The
        exact ``mi_lagged`` costs as much as the layer itself. ``mi`` and
        ``mi_lagged`` take all frames of the windows around these; a stride
        larger than the window leaves frames unheard.
    gradient_stride : int
        ``taylor``: look at every ``gradient_stride``-th utterance only, the
        first one included; with 1, which is exact, at all. Each costs a
        backward pass.
    damping : float
        ``obs``: added to the Hessian's diagonal, as a share of its mean.
    outgoing : bool
        ``mbp``: also count the weights that leave a unit.
    seed : int
        ``random``: which draw.
    progress : bool
        Show a progress bar.

    Returns
    -------
    dict of str to dict
        For every criterion what ``rank_neurons`` returns.

    Raises
    ------
    SaliencyError
        As in ``rank_neurons``.
    UnitsError
        As in ``rank_neurons``.

    Example
    -------
    >>> import torch
    >>> model = nn.Sequential(nn.Linear(40, 9), nn.Sigmoid(), nn.Linear(9, 5))
    >>> measured = measure_saliency(
    ...     model, [torch.randn(2, 50, 40)], ["mi", "obs", "random"]
    ... )
    >>> {name: list(scores) for name, scores in measured.items()}
    {'mi': ['0'], 'obs': ['0'], 'random': ['0']}
    """
    settings = Settings(
        window, frame_stride, gradient_stride, damping, outgoing, seed
    )
    kinds = find_criteria(criteria)
    taps = find_taps(model, targets)
    measures = {
        name: [kind(tap, settings) for tap in taps]
        for name, kind in kinds.items()
    }
    listening = {
        tap: [each for each in at_tap if each.needs_speech]
        for tap, *at_tap in zip(taps, *measures.values(), strict=True)
    }
    if any(listening.values()):
        speech = StreamingPass(
            model,
            listening,
            window,
            forward,
            loss,
            frame_stride,
            gradient_stride,
        )
        speech.run(batches, progress)
    return {name: _scores(each) for name, each in measures.items()}


def find_criteria(names: Iterable[str]) -> dict[str, type[Measure]]:
    """Find criteria by name.

    Arguments
    ---------
    names : str or iterable of str
        Names of criteria.

    Returns
    -------
    dict of str to type
        Name to the class that measures it.

    Raises
    ------
    SaliencyError
        If one is unknown.

    Example
    -------
    >>> find_criteria(["mbp"])
    {'mbp': <class '...WeightPower'>}
    """
    names = [names] if isinstance(names, str) else list(names)
    for name in names:
        if name not in CRITERIA:
            raise SaliencyError(
                f"There is no criterion {name!r}; use some of "
                f"{', '.join(map(repr, CRITERIA))}."
            )
    return {name: CRITERIA[name] for name in names}


def _scores(measures: Sequence[Measure]) -> dict[str, Tensor]:
    return {
        measure.tap.name: measure.result().float().cpu() for measure in measures
    }

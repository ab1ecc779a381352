"""What is removed: a part of a ranking, a share, and the layers it is from.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from speechbrain_neuronprune.analysis.settings import AnalysisSettings
from speechbrain_neuronprune.hyper_hypo import (
    NeuronSelection,
    medium_like,
    random_like,
    select_hyper_hypo,
)
from speechbrain_neuronprune.plan import PruningPlan

Scores = Mapping[str, Mapping[str, Tensor]]


@dataclass(frozen=True)
class Removal:
    """One way to remove neurons.

    Arguments
    ---------
    part : str
        Of the ranking: ``none``, ``hypo``, ``hyper``, ``both``, ``medium`` or
        ``random``.
    share : float
        Share of every layer's neurons.
    hypo : float or None
        Of ``both``, how much of the share is hypo.
    criterion : str or None
        What ranked the neurons; None where it makes no difference.
    layers : tuple of str
        Names of the groups.
    ablation : str
        What stands in their place: ``zero`` or ``mean``.
    plan : PruningPlan
        The neurons.
    """

    part: str
    share: float = 0.0
    hypo: float | None = None
    criterion: str | None = None
    layers: tuple[str, ...] = ()
    ablation: str = "zero"
    plan: PruningPlan = field(
        default_factory=lambda: PruningPlan({}), compare=False
    )

    def facts(self) -> dict[str, Any]:
        """All but the plan, for JSON; no two removals have the same.

        Returns
        -------
        dict of str to Any
            By the names of the arguments.
        """
        return {
            "part": self.part,
            "share": self.share,
            "hypo": self.hypo,
            "criterion": self.criterion,
            "layers": list(self.layers),
            "ablation": self.ablation,
        }

    @property
    def units(self) -> int:
        """How many neurons are removed."""
        return sum(int((~keep).sum()) for keep in self.plan.keep.values())


def make_removals(
    scores: Scores,
    sets: Sequence[tuple[str, ...]],
    settings: AnalysisSettings,
) -> list[Removal]:
    """All that shall be tried, nothing removed first.

    Arguments
    ---------
    scores : mapping of str to mapping
        For every criterion, the saliencies of every group.
    sets : sequence of tuple of str
        The layers from which neurons are removed.
    settings : AnalysisSettings
        Parts and shares.

    Returns
    -------
    list of Removal
        In the order in which they are measured.

    Raises
    ------
    SelectionError
        If a share is less than one neuron of a layer, or the middle of a
        ranking is too small for it.

    Example
    -------
    >>> import torch
    >>> removals = make_removals(
    ...     {"mi": {"fc": torch.arange(50.0)}},
    ...     [("fc",)],
    ...     AnalysisSettings(("mi",), (0.1,)),
    ... )
    >>> [(one.part, one.share, one.units) for one in removals]
    [('none', 0.0, 0), ('hypo', 0.1, 5), ('hyper', 0.1, 5),
     ('medium', 0.1, 5), ('random', 0.1, 5), ('both', 0.12, 6)]
    """
    removals = [Removal("none")]
    for layers in sets:
        for criterion, by_group in scores.items():
            chosen = {group: by_group[group] for group in layers}
            removals += [
                Removal(
                    layers=layers,
                    ablation=ablation,
                    plan=PruningPlan.from_selection(selection),
                    criterion=None if facts["part"] == "random" else criterion,
                    **facts,
                )
                for facts, selection in _selections(chosen, settings)
                for ablation in settings.ablations
            ]
    return list(dict.fromkeys(removals))


def _selections(
    scores: Mapping[str, Tensor], settings: AnalysisSettings
) -> Iterator[tuple[dict[str, Any], dict[str, NeuronSelection]]]:
    for share in settings.shares:
        for part in settings.parts:
            facts = {"part": part, "share": share}
            yield facts, _select(part, share, scores, settings.seed)
    both = {"part": "both", "hypo": settings.hypo}
    both["share"] = round(settings.hypo + settings.hyper, 6)
    yield both, select_hyper_hypo(scores, settings.hypo, settings.hyper)


def _select(
    part: str, share: float, scores: Mapping[str, Tensor], seed: int
) -> dict[str, NeuronSelection]:
    if part == "hyper":
        return select_hyper_hypo(scores, 0.0, share)
    hypo = select_hyper_hypo(scores, share, 0.0)
    if part == "medium":
        return medium_like(hypo, scores)
    if part == "random":
        return random_like(hypo, seed)
    return hypo

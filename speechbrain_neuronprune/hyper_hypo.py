"""Hyper and hypo neurons: the two ends of a ranking, and controls for them.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from speechbrain_neuronprune.errors import SelectionError
from speechbrain_neuronprune.randomness import seeded_generator

Selections = Mapping[str, "NeuronSelection"]


@dataclass(frozen=True, eq=False)
class NeuronSelection:
    """Which neurons of one layer are hypo, hyper, or neither.

    Arguments
    ---------
    hypo : torch.Tensor
        Bool, (units,): barely active, the lowest saliencies.
    hyper : torch.Tensor
        Bool, (units,): mostly active, the highest saliencies.
    medium : torch.Tensor
        Bool, (units,): all the others.

    Raises
    ------
    SelectionError
        If a unit is not in exactly one of the three.
    """

    hypo: Tensor
    hyper: Tensor
    medium: Tensor

    def __post_init__(self) -> None:
        parts = [getattr(self, field.name) for field in fields(self)]
        shapes = [tuple(part.shape) for part in parts]
        if len(set(shapes)) > 1 or any(p.dtype != torch.bool for p in parts):
            raise SelectionError(
                f"Hypo, hyper and medium have shapes {shapes}; give three bool "
                "tensors with one entry per unit."
            )
        if not (torch.stack(parts).sum(0) == 1).all():
            raise SelectionError(
                "Some units are in none or several of hypo, hyper and medium; "
                "put every unit in exactly one."
            )

    @property
    def chosen(self) -> Tensor:
        """The neurons that are hypo or hyper, bool, (units,)."""
        return self.hypo | self.hyper


def select_hyper_hypo(
    scores: Mapping[str, Tensor], hypo: float = 0.08, hyper: float = 0.04
) -> dict[str, NeuronSelection]:
    """Choose the least and the most salient neurons of every layer.

    Mitra and Franco, sec. 4 and 5: the neurons of one layer are sorted by
    saliency; the defaults are the shares that they recommend (sec. 5.4). Shares
    are rounded to whole neurons; equal saliencies count by position.

    Arguments
    ---------
    scores : mapping of str to torch.Tensor
        For every group a saliency per unit, (units,), as ``rank_neurons``
        returns them. Leave out the groups that shall stay as they are, for
        instance the pre-final layer.
    hypo : float
        Share of a layer's neurons that are hypo, the lowest.
    hyper : float
        Share that are hyper, the highest.

    Returns
    -------
    dict of str to NeuronSelection
        For every group its choice.

    Raises
    ------
    SelectionError
        If the shares are out of range or overlap, a share is less than one
        neuron of a layer, or scores are missing or not finite.

    Example
    -------
    >>> scores = {"fc": torch.tensor([0.3, 0.1, 0.9, 0.2, 0.5])}
    >>> chosen = select_hyper_hypo(scores, hypo=0.4, hyper=0.2)["fc"]
    >>> chosen.hypo.nonzero().flatten(), chosen.hyper.nonzero().flatten()
    (tensor([1, 3]), tensor([2]))
    """
    _check_shares(hypo, hyper)
    if not scores:
        raise SelectionError(
            "There are no scores to select neurons by; rank the neurons of at "
            "least one group."
        )
    return {
        name: _select(name, values, hypo, hyper)
        for name, values in scores.items()
    }


def random_like(
    selection: Selections, seed: int = 0
) -> dict[str, NeuronSelection]:
    """A control: as many hypo and hyper neurons, drawn at random.

    Arguments
    ---------
    selection : mapping of str to NeuronSelection
        The choice to be controlled for.
    seed : int
        Which draw; groups are drawn independently of each other.

    Returns
    -------
    dict of str to NeuronSelection
        From all neurons of each group, the chosen ones included.

    Example
    -------
    >>> scores = {"fc": torch.arange(100.0)}
    >>> control = random_like(select_hyper_hypo(scores))["fc"]
    >>> control.hypo.sum(), control.hyper.sum(), control.medium.sum()
    (tensor(8), tensor(4), tensor(88))
    """
    return {
        name: _two_ends(
            torch.randperm(
                len(one.hypo), generator=seeded_generator(seed, name)
            ),
            int(one.hypo.sum()),
            int(one.hyper.sum()),
        )
        for name, one in selection.items()
    }


def medium_like(
    selection: Selections, scores: Mapping[str, Tensor], margin: float = 0.12
) -> dict[str, NeuronSelection]:
    """A control: as many neurons from the middle of the ranking.

    Mitra and Franco, sec. 5: medium neurons are those left when the bottom and
    top 12 % are excluded. Which of them is inferred: those nearest to the
    middle. The lower ones stand in for hypo, the upper ones for hyper.

    Arguments
    ---------
    selection : mapping of str to NeuronSelection
        The choice to be controlled for; none of it is taken.
    scores : mapping of str to torch.Tensor
        The saliencies that it was made from.
    margin : float
        Share of a layer's neurons that is excluded at either end.

    Returns
    -------
    dict of str to NeuronSelection
        For every group of the selection.

    Raises
    ------
    SelectionError
        If the middle has too few neurons, or the scores do not fit the
        selection.

    Example
    -------
    >>> scores = {"fc": torch.arange(100.0)}
    >>> control = medium_like(select_hyper_hypo(scores), scores)["fc"]
    >>> control.chosen.nonzero().flatten()
    tensor([44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55])
    """
    if not 0 <= margin <= 0.5:
        raise SelectionError(
            f"A margin of {margin} at both ends leaves no middle; give a share "
            "from 0 to 0.5."
        )
    return {
        name: _middle(name, one, _scores_of(name, one, scores), margin)
        for name, one in selection.items()
    }


def only(selection: Selections, part: str) -> dict[str, NeuronSelection]:
    """A part of a selection: its hypo or its hyper neurons alone.

    Arguments
    ---------
    selection : mapping of str to NeuronSelection
        The whole.
    part : str
        ``hypo`` or ``hyper``.

    Returns
    -------
    dict of str to NeuronSelection
        The neurons of the other part are medium here.

    Raises
    ------
    SelectionError
        If there is no such part.

    Example
    -------
    >>> chosen = select_hyper_hypo({"fc": torch.arange(100.0)})
    >>> only(chosen, "hyper")["fc"].chosen.nonzero().flatten()
    tensor([96, 97, 98, 99])
    """
    if part not in ("hypo", "hyper"):
        raise SelectionError(
            f"A selection has no part {part!r}; use 'hypo' or 'hyper'."
        )
    for name, one in selection.items():
        if not getattr(one, part).any():
            raise SelectionError(
                f"The selection has no {part} neurons in group {name}; select "
                "some, or use the other part."
            )
    return {
        name: _selection(**{part: getattr(one, part)})
        for name, one in selection.items()
    }


# ---------------------------------------------------------------- choosing


def _selection(
    hypo: Tensor | None = None, hyper: Tensor | None = None
) -> NeuronSelection:
    """All others are medium."""
    hypo = torch.zeros_like(hyper) if hypo is None else hypo
    hyper = torch.zeros_like(hypo) if hyper is None else hyper
    return NeuronSelection(hypo, hyper, ~(hypo | hyper))


def _select(
    name: str, scores: Tensor, hypo: float, hyper: float
) -> NeuronSelection:
    order = _ranking(name, scores)
    return _two_ends(order, *_sizes(name, len(order), hypo, hyper))


def _two_ends(order: Tensor, hypo: int, hyper: int) -> NeuronSelection:
    """The first and the last units of an order."""
    first = torch.zeros(len(order), dtype=torch.bool)
    last = first.clone()
    first[order[:hypo]] = True
    last[order[len(order) - hyper :]] = True
    return _selection(first, last)


def _ranking(name: str, scores: Tensor) -> Tensor:
    """Positions of the units, the least salient first."""
    scores = torch.as_tensor(scores).detach().cpu().flatten()
    if not torch.isfinite(scores).all():
        raise SelectionError(
            f"The scores of group {name} contain NaN or infinity; rank its "
            "neurons again."
        )
    return scores.argsort(stable=True)


def _check_shares(hypo: float, hyper: float) -> None:
    if not (hypo >= 0 and hyper >= 0 and 0 < hypo + hyper <= 1):
        raise SelectionError(
            f"Shares of hypo={hypo} and hyper={hyper} cannot be selected; "
            "give numbers from 0 to 1, not both 0, that do not overlap (their "
            "sum is at most 1)."
        )


def _sizes(name: str, units: int, hypo: float, hyper: float) -> tuple[int, int]:
    lowest = round(hypo * units)
    # Two halves of an odd number must not both be rounded up.
    highest = min(round(hyper * units), units - lowest)
    for part, share, size in (
        ("hypo", hypo, lowest),
        ("hyper", hyper, highest),
    ):
        if share > 0 and size == 0:
            raise SelectionError(
                f"A share of {part}={share} is less than one of the {units} "
                f"neurons of group {name}; give a larger share, 0, or leave "
                "the group out."
            )
    return lowest, highest


def _scores_of(
    name: str, one: NeuronSelection, scores: Mapping[str, Tensor]
) -> Tensor:
    if name not in scores or scores[name].numel() != len(one.hypo):
        raise SelectionError(
            f"There are no scores for the {len(one.hypo)} neurons of group "
            f"{name}; give the scores that the selection was made from."
        )
    return scores[name]


def _middle(
    name: str, one: NeuronSelection, scores: Tensor, margin: float
) -> NeuronSelection:
    order = _ranking(name, scores)
    ends = round(margin * len(order))
    order = order[ends : len(order) - ends]
    order = order[~one.chosen[order]]
    wanted = int(one.chosen.sum())
    if wanted > len(order):
        raise SelectionError(
            f"The middle of group {name} has {len(order)} neurons, fewer than "
            f"the {wanted} selected ones; select fewer, or lower "
            f"margin={margin}."
        )
    start = (len(order) - wanted) // 2
    middle = order[start : start + wanted].split(
        [int(one.hypo.sum()), int(one.hyper.sum())]
    )
    parts = torch.zeros(2, len(one.hypo), dtype=torch.bool)
    for part, units in zip(parts, middle, strict=True):
        part[units] = True
    return _selection(*parts)

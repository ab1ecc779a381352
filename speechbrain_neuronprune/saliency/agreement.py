"""How much criteria agree on the order of a layer's neurons.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import warnings
from collections.abc import Mapping

import torch
from scipy.stats import ConstantInputWarning, spearmanr
from torch import Tensor

from speechbrain_neuronprune.errors import SaliencyError

Scores = Mapping[str, Tensor]


def rank_agreement(
    scores: Mapping[str, Scores],
) -> dict[str, tuple[tuple[str, ...], Tensor]]:
    """Spearman's rank correlation between criteria, for every group.

    Arguments
    ---------
    scores : mapping of str to mapping
        For every criterion a saliency per unit of every group, as
        ``measure_saliency`` returns them; any other numbers per unit, such
        as the learned retention logits, may stand beside them.

    Returns
    -------
    dict of str to tuple
        For every group the criteria's names and their correlations, (criteria,
        criteria), in [-1, 1]; NaN where a criterion does not tell any two
        units apart.

    Raises
    ------
    SaliencyError
        If the criteria are not about the same units.

    Example
    -------
    >>> one = torch.tensor([1.0, 2.0, 3.0])
    >>> names, matrix = rank_agreement(
    ...     {"mi": {"fc": one}, "obs": {"fc": one.square()}, "no": {"fc": -one}}
    ... )["fc"]
    >>> matrix
    tensor([[ 1.,  1., -1.],
            [ 1.,  1., -1.],
            [-1., -1.,  1.]])
    """
    _check(scores)
    criteria = tuple(scores)
    groups = next(iter(scores.values()), {})
    return {
        group: (criteria, _correlations([scores[c][group] for c in criteria]))
        for group in groups
    }


def _correlations(columns: list[Tensor]) -> Tensor:
    # NumPy has no bfloat16; float64 keeps the order of all others.
    columns = [column.detach().cpu().double().numpy() for column in columns]
    with warnings.catch_warnings():
        # The NaN that it is about is part of the answer.
        warnings.simplefilter("ignore", ConstantInputWarning)
        rows = [
            [float(spearmanr(one, two).statistic) for two in columns]
            for one in columns
        ]
    return torch.tensor(rows)


def _check(scores: Mapping[str, Scores]) -> None:
    units = {
        criterion: {group: len(values) for group, values in groups.items()}
        for criterion, groups in scores.items()
    }
    first = next(iter(units), None)
    for criterion in units:
        if units[criterion] != units[first]:
            raise SaliencyError(
                f"The criteria {first} and {criterion} score different units "
                f"({units[first]} and {units[criterion]}); measure both on "
                "the same model and targets."
            )
